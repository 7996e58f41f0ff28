"""Prompt-to-Prompt on a real image (Hertz et al., arXiv 2208.01626), with the masked blend of MAG-Edit's last steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from magedit.attention import capturing, editing
from magedit.descent import Guided
from magedit.guidance import measure
from magedit.methods.base import EditedLatent, EditTask
from magedit.report import Stage, StepTrace
from magedit.schedule import guided_noise

GuideStep = Callable[[int, int, Tensor, dict[str, Tensor]], Guided]
"""(step, timestep, latent, maps of the running `editing` context) -> guided latent."""


def p2p(task: EditTask) -> EditedLatent:
    """Section 4 of Prompt-to-Prompt without guidance."""
    return denoise(task, guided_steps=0, guide_step=None)


def denoise(task: EditTask, *, guided_steps: int, guide_step: GuideStep | None) -> EditedLatent:
    """Sample the edit along the source: each step passes the source once, injects its maps, guides, steps, blends.

    The first ``guided_steps`` latents go through ``guide_step`` before their sampling pass, under the same injection.
    """
    config, denoiser, inverted = task.config, task.denoiser, task.inverted
    schedule, unet = denoiser.schedule, denoiser.unet
    names = [layer.name for layer in task.guidance_layers]
    sides = {layer.name: layer.side for layer in task.guidance_layers}
    source = latent = inverted.latents[0]
    trace: list[StepTrace] = []
    shares = _Shares(task)
    with denoiser.meter.stage(Stage.EDIT, config.steps):
        for i, t in enumerate(schedule.timesteps):
            maps, source_next = _pass_source(task, i, t, source)
            measured = i < config.measured_steps and bool(task.words)
            with editing(unet, task.injection.edits(i, maps, names if measured else ())) as own:
                guided = None
                if guide_step is not None and i < guided_steps:
                    guided = guide_step(i, t, latent, own)
                    latent = guided.latent
                noise = _guided_pass(task, i, t, latent, task.target)
            if measured:
                after = measure(own, sides, task.words, task.regions)
                shares.add(own)
                trace.append(
                    StepTrace(
                        step=i,
                        timestep=t,
                        iterations=guided.updates if guided else 0,
                        losses=guided.losses if guided else (),
                        before=guided.before if guided else after,
                        after=after,
                    )
                )
            fresh = None
            if config.eta > 0:
                fresh = randn_tensor(latent.shape, generator=task.generator, device=latent.device)
            latent = schedule.step(noise, t, latent, eta=config.eta, fresh=fresh)
            if i >= config.blend_from:
                latent = task.blend_mask * latent + (1 - task.blend_mask) * source_next
            source = source_next
            if task.on_step is not None:
                latent = task.on_step(i, t, latent)
            denoiser.meter.stepped()
    return EditedLatent(latent, source, tuple(trace), shares.mean(), tuple(shares.steps))


def _pass_source(task: EditTask, i: int, t: int, source: Tensor) -> tuple[Mapping[str, Tensor], Tensor]:
    """The source branch's maps at step i and its next latent, in one pass."""
    layers = task.injection.sources(i)
    if task.inverted.exact:
        if layers:
            with capturing(task.denoiser.unet, layers) as maps:
                task.denoiser.attend(source, t, task.source, layers[-1])
            return maps, task.inverted.latents[i + 1]
        return {}, task.inverted.latents[i + 1]
    with capturing(task.denoiser.unet, layers) as maps:
        noise = _guided_pass(task, i, t, source, task.source)
    return maps, task.denoiser.schedule.step(noise, t, source)


def _guided_pass(task: EditTask, i: int, t: int, latent: Tensor, embedding: Tensor) -> Tensor:
    """Noise under classifier-free guidance, both halves in one batch, the conditional one last."""
    scale = task.config.guidance_scale
    if scale == 1:
        return task.denoiser.noise(latent, t, embedding)
    unconditional = task.inverted.unconditional[i].to(embedding.dtype)
    both = task.denoiser.noise(torch.cat([latent, latent]), t, torch.cat([unconditional, embedding]))
    return guided_noise(both[:1], both[1:], scale)


class _Shares:
    """Each region's word share per position, mean over layers, heads and words: per measured step, and their mean."""

    def __init__(self, task: EditTask) -> None:
        self._task = task
        self.steps: list[tuple[Tensor, ...]] = []
        self._sums: list[Tensor] = []
        self._count = 0

    def add(self, maps: Mapping[str, Tensor]) -> None:
        """Add one step's maps."""
        side = self._task.guidance_layers[0].side
        mean = torch.stack([m.mean(0) / m.mean(0).sum(-1, keepdim=True) for m in maps.values()]).mean(0)
        shares = []
        for region in range(self._task.regions):
            words = [w for w in self._task.words if w.region == region and not w.negative]
            share = torch.stack([mean[:, list(w.tokens)].mean(-1) for w in words]).mean(0)
            shares.append(share.reshape(side, side))
        self.steps.append(tuple(shares))
        self._sums = shares if not self._sums else [a + b for a, b in zip(self._sums, shares, strict=True)]
        self._count += 1

    def mean(self) -> tuple[Tensor, ...]:
        """(side, side) per region; empty if nothing was measured."""
        return tuple(total / self._count for total in self._sums)
