"""Prompt-to-Prompt on a real image (Hertz et al., arXiv 2208.01626), with the masked blend of MAG-Edit's last steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from magedit.attention import LayerEdit, editing, with_values
from magedit.descent import Guided
from magedit.methods.base import EditedLatent, EditTask
from magedit.methods.local_blend import LocalBlend
from magedit.methods.sampling import advance, first_latent, guided_pass
from magedit.methods.watch import Watch
from magedit.report import Stage

GuideStep = Callable[[int, Tensor, dict[str, Tensor]], Guided]
"""(timestep, latent, maps of the running `editing` context) -> guided latent."""


def p2p(tasks: Sequence[EditTask]) -> tuple[EditedLatent, ...]:
    """Section 4 of Prompt-to-Prompt without guidance."""
    return denoise(tasks, [None] * len(tasks))


def denoise(tasks: Sequence[EditTask], guidance: Sequence[GuideStep | None]) -> tuple[EditedLatent, ...]:
    """Sample the edit along the source: each step passes the source once, injects of it, guides, steps, blends.

    All results go step by step beside each other, so that one pass of the source serves them all. The leading
    ``guided_steps`` latents of a result go through its entry of ``guidance`` before their sampling pass, under the
    same injection.
    """
    first, denoiser = tasks[0], tasks[0].denoiser
    local = first.config.local_blend is not None
    read = tuple(layer.name for layer in first.guidance_layers) if local else ()
    source = first.inverted.latents[0]
    edits = [_Edit(task, guide) for task, guide in zip(tasks, guidance, strict=True)]
    with denoiser.meter.stage(Stage.EDIT, first.config.steps * len(tasks)):
        for i, t in enumerate(denoiser.schedule.timesteps):
            kept, source_next = _pass_source(first, i, t, source, read)
            for edit in edits:
                edit.step(i, t, kept, source_next)
            source = source_next
    return tuple(edit.watch.edited(edit.latent, source) for edit in edits)


class _Edit:
    """One result while it is sampled."""

    def __init__(self, task: EditTask, guide_step: GuideStep | None) -> None:
        self.task, self.guide_step, self.watch = task, guide_step, Watch(task)
        self.latent = first_latent(task, 0, task.denoiser.schedule.timesteps[0])
        self.local = None
        if task.config.local_blend is not None:
            self.local = LocalBlend(*task.blend_tokens, task.config.local_blend, task.config.steps)

    def step(self, i: int, t: int, kept: Mapping[str, Tensor], source_next: Tensor) -> None:
        """Step i at timestep t; ``kept`` is what the source's pass kept, ``source_next`` the source's next latent."""
        task, watch, local, latent = self.task, self.watch, self.local, self.latent
        names = tuple(layer.name for layer in task.guidance_layers)
        edits = task.injection.edits(i, kept, names if local else watch.reads(i))
        with editing(task.denoiser.unet, with_values(edits, task.layers, task.values[i])) as own:
            guided = None
            if self.guide_step is not None and i < task.config.guided_steps:
                guided = self.guide_step(t, latent, own)
                latent = guided.latent
            latent = advance(task, i, t, latent)
        watch.record(i, t, own, guided)
        if local is not None:
            local.add({name: kept[name] for name in names}, {name: own[name] for name in names})
            latent = local.blend(i, latent, source_next)
        if i >= task.config.blend_from:
            latent = task.blend_mask * latent + (1 - task.blend_mask) * source_next
        self.latent = task.stepped(i, t, latent)


def _pass_source(
    task: EditTask, i: int, t: int, source: Tensor, read: tuple[str, ...]
) -> tuple[Mapping[str, Tensor], Tensor]:
    """What is injected of the source branch at step i, the maps in ``read``, and its next latent, in one pass."""
    captures = {**{name: LayerEdit(read=True) for name in read}, **task.injection.captures(i)}
    reach = [*task.injection.sources(i)[-1:], *(task.guidance_layers[-1:] if read else ())]
    values = task.inverted.values[i] if task.inverted.values else None
    with editing(task.denoiser.unet, with_values(captures, task.layers, values)) as kept:
        if not task.inverted.source:
            noise = guided_pass(task, i, t, source, task.source)
            return kept, task.denoiser.schedule.step(noise, t, source)
        if reach:
            task.denoiser.attend(source, t, task.source, max(reach, key=task.injection.layers.index))
    return kept, task.inverted.source[i + 1]
