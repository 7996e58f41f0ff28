"""MAG-Edit: mask-based attention-adjusted guidance (Mao et al., arXiv 2312.11396, algorithm 1)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor

from magedit.guidance.constraints import constraint_loss, have_won, measure
from magedit.guidance.descent import Descent
from magedit.methods.base import EditedLatent, EditTask
from magedit.methods.mag_edit.selection import select
from magedit.methods.p2p.loop import Guidance, denoise


def mag_edit(tasks: Sequence[EditTask]) -> tuple[EditedLatent, ...]:
    """Prompt-to-Prompt whose latent is optimised in the leading steps until the edit words win inside the mask.

    The loss reads the injected maps of the guidance layers; the network runs only up to the last of them.
    """
    if any(task.candidates for task in tasks):
        return select(tasks, _sample)
    return _sample(tasks)


def _sample(tasks: Sequence[EditTask]) -> tuple[EditedLatent, ...]:
    return denoise(tasks, [_guidance(task) for task in tasks])


def _guidance(task: EditTask) -> Guidance:
    """The guidance of one result."""
    config = task.config
    sides = {site.name: site.side for site in task.guidance_sites}
    won = None
    if config.stop_margin or config.stop_contrast:
        margin, contrast = config.stop_margin, config.stop_contrast
        won = partial(have_won, sides=sides, targets=task.words, margin=margin, contrast=contrast)

    def begin(t: float, latent: Tensor, stride: int) -> Descent:
        return Descent(
            latent=latent,
            loss=partial(constraint_loss, sides=sides, targets=task.words, config=config),
            ratios=partial(
                measure, sides=sides, targets=task.words, regions=task.regions, denominator=config.denominator
            ),
            won=won,
            iterations=config.iterations,
            tolerance=config.gradient_tolerance,
            stride=stride,
            step_size=task.step_size,
            sigma=task.denoiser.process.sigma(t),
            mask=task.mask,
        )

    return begin
