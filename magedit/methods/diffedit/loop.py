"""DiffEdit (Couairon et al., arXiv 2210.11427, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from magedit.backbones.base import Conditioning, reading
from magedit.errors import EmptyMask
from magedit.measures.report import Stage
from magedit.methods.base import EditedLatent, EditTask, in_turn
from magedit.methods.sampling import advance, first_latent, fresh_noise
from magedit.methods.trace import Watch

MASK_NOISE = 0.5
"""Noise level at which the two prompts are compared, as a fraction of the steps (paper, step 1: 50 %)."""

MASK_LEVEL = 0.5
"""Least contrast, 0..1, of a position in the mask (paper, step 1)."""


@in_turn
def diffedit(task: EditTask) -> EditedLatent:
    """Decode the target prompt from the trajectory's latent at a middle level (step 2); after each step everything
    outside the mask is the trajectory again (step 3). The mask is the given one, or `contrast_mask` inside it.

    The paper encodes with the unconditional model; here the trajectory is that of all methods, under the source prompt,
    so that all methods can share one inversion.

    Raises:
        EmptyMask: DiffEdit's own mask has nothing inside the given one.
    """
    config, denoiser, trajectory = task.config, task.denoiser, task.inverted.latents
    start, watch, mask = config.skipped_steps, Watch(task), task.mask
    with denoiser.meter.stage(Stage.EDIT, config.steps - start):
        if config.mask_source == "own":
            mask = mask * contrast_mask(task)
            if not mask.any():
                raise EmptyMask(
                    "the two prompts' noise estimates do not differ enough inside the mask for mask_source 'own': "
                    "use a larger mask, a lower mask_ratio, or 'given'",
                    field="mask_source",
                )
        latent = first_latent(task, start, denoiser.process.timesteps[start])
        for i, t in enumerate(denoiser.process.timesteps[start:], start):
            with denoiser.editing(reading(watch.reads(i))) as (own,):
                latent = advance(task, i, t, latent)
            watch.record(i, t, own)
            latent = mask * latent + (1 - mask) * trajectory[i + 1]
            latent = task.stepped(i, t, latent)
    return watch.edited(latent, trajectory[-1], mask if config.mask_source == "own" else None)


def contrast_mask(task: EditTask) -> Tensor:
    """The mask (h, w) of 0 and 1 where the noise estimates under the two prompts differ (step 1).

    The absolute difference, mean over ``mask_maps`` noises and the channels, is cut at ``mask_ratio`` times its mean
    ("extreme values" of the paper), scaled to 0..1, and thresholded at `MASK_LEVEL`.
    """
    config, process = task.config, task.denoiser.process
    clean, t = task.inverted.latents[-1], process.timesteps[int((1 - MASK_NOISE) * config.steps)]
    prompts = Conditioning.cat([task.source, task.target])
    contrast = torch.zeros_like(task.mask)
    for _ in range(config.mask_maps):
        noised = process.add_noise(clean, t, fresh_noise(task))
        source, target = task.denoiser.predict(torch.cat([noised, noised]), t, prompts)
        contrast += (target - source).abs().mean(0)
    high = contrast.mean() * config.mask_ratio
    return (contrast.clamp_max(high) >= MASK_LEVEL * high).float() if high > 0 else torch.zeros_like(contrast)
