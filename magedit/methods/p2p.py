"""Prompt-to-Prompt on a real image (Hertz et al., arXiv 2208.01626), with the masked blend of MAG-Edit's last steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from magedit.attention import LayerEdit, editing
from magedit.descent import Guided
from magedit.methods.base import EditedLatent, EditTask
from magedit.methods.local_blend import LocalBlend
from magedit.methods.sampling import advance, guided_pass
from magedit.methods.watch import Watch
from magedit.report import Stage

GuideStep = Callable[[int, int, Tensor, dict[str, Tensor]], Guided]
"""(step, timestep, latent, maps of the running `editing` context) -> guided latent."""


def p2p(task: EditTask) -> EditedLatent:
    """Section 4 of Prompt-to-Prompt without guidance."""
    return denoise(task, guided_steps=0, guide_step=None)


def denoise(task: EditTask, *, guided_steps: int, guide_step: GuideStep | None) -> EditedLatent:
    """Sample the edit along the source: each step passes the source once, injects of it, guides, steps, blends.

    The first ``guided_steps`` latents go through ``guide_step`` before their sampling pass, under the same injection.
    """
    config, denoiser = task.config, task.denoiser
    names = tuple(layer.name for layer in task.guidance_layers)
    source = latent = task.inverted.latents[0]
    watch, local = Watch(task), None
    if config.local_blend is not None:
        local = LocalBlend(*task.blend_tokens, config.local_blend, config.steps)
    with denoiser.meter.stage(Stage.EDIT, config.steps):
        for i, t in enumerate(denoiser.schedule.timesteps):
            kept, source_next = _pass_source(task, i, t, source, names if local else ())
            with editing(denoiser.unet, task.injection.edits(i, kept, names if local else watch.reads(i))) as own:
                guided = None
                if guide_step is not None and i < guided_steps:
                    guided = guide_step(i, t, latent, own)
                    latent = guided.latent
                latent = advance(task, i, t, latent)
            watch.record(i, t, own, guided)
            if local is not None:
                local.add({name: kept[name] for name in names}, {name: own[name] for name in names})
                latent = local.blend(i, latent, source_next)
            if i >= config.blend_from:
                latent = task.blend_mask * latent + (1 - task.blend_mask) * source_next
            source = source_next
            latent = task.stepped(i, t, latent)
    return watch.edited(latent, source)


def _pass_source(
    task: EditTask, i: int, t: int, source: Tensor, read: tuple[str, ...]
) -> tuple[Mapping[str, Tensor], Tensor]:
    """What is injected of the source branch at step i, the maps in ``read``, and its next latent, in one pass."""
    captures = {**{name: LayerEdit(read=True) for name in read}, **task.injection.captures(i)}
    reach = [*task.injection.sources(i)[-1:], *(task.guidance_layers[-1:] if read else ())]
    with editing(task.denoiser.unet, captures) as kept:
        if not task.inverted.exact:
            noise = guided_pass(task, i, t, source, task.source)
            return kept, task.denoiser.schedule.step(noise, t, source)
        if reach:
            task.denoiser.attend(source, t, task.source, max(reach, key=task.injection.layers.index))
    return kept, task.inverted.latents[i + 1]
