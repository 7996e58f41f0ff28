"""The released program's schedule, written with this program's functions, as the baseline of `benchmarks.speed`.

The same algorithm as the preset `exact` (arXiv 2312.11396, with null-text inversion, arXiv 2211.09794), as the authors'
program runs it: the source passes once per guidance iteration, no pass ends early, and every attention layer of every
pass forms its map. At the paper's settings these are 1,650 rows forward and 875 backward.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from magedit.backbones.base import AttentionEdit, Conditioning, ModuleEdit, classifier_free_guidance, frozen
from magedit.config import EditConfig, Region
from magedit.guidance.constraints import constraint_loss
from magedit.inversion.base import InversionTask, Inverted
from magedit.inversion.ddim.loop import trajectory
from magedit.inversion.null_text.loop import optimise
from magedit.measures.meter import Meter
from magedit.measures.report import Stage
from magedit.methods.base import EditTask
from magedit.pipelines.inputs import trusted_inputs
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.pipelines.output import Inversion
from magedit.pipelines.plan import edit_tasks
from magedit.prompts.checks import check_words


@dataclass
class Maps:
    """Attention of every layer, formed in full: (batch, heads, positions, keys)."""

    edits: Mapping[str, ModuleEdit] = field(default_factory=dict)
    kept: dict[str, Tensor] = field(default_factory=dict)


class Plain:
    """Attention as softmax(Q K^T) V; the last row's map is replaced as the layer's edit says, and kept, unless it is
    of a self attention too large to be injected."""

    def __init__(self, name: str, maps: Maps) -> None:
        self.name, self.maps = name, maps

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **_: Any
    ) -> Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            each.unflatten(2, (attn.heads, -1)).transpose(1, 2)
            for each in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        )
        probabilities = (query @ key.transpose(-1, -2) * attn.scale).softmax(-1)
        edit = self.maps.edits.get(self.name, AttentionEdit())
        assert isinstance(edit, AttentionEdit)
        last = probabilities[-1]
        if edit.self_map is not None:
            last = edit.self_map
        elif edit.base is not None:
            last = edit.base if edit.share is None else edit.base + edit.share * last
        if encoder_hidden_states is not None or query.shape[2] <= EditConfig.self_replace_max_positions:
            self.maps.kept[self.name] = last
        if edit.self_map is not None or edit.base is not None:
            probabilities = torch.cat([probabilities[:-1], last[None]])
        out: Tensor = attn.to_out[0]((probabilities @ value).transpose(1, 2).flatten(2))
        return out if attn.rescale_output_factor == 1 else out / attn.rescale_output_factor


@contextmanager
def plain(unet: Any) -> Iterator[Maps]:
    """Every attention layer of ``unet`` forms its map inside."""
    before, maps = unet.attn_processors, Maps()
    try:
        for name, module in unet.named_modules():
            if hasattr(module, "processor"):
                module.processor = Plain(name, maps)
        yield maps
    finally:
        unet.set_attn_processor(before)


@torch.no_grad()
def released_inversion(
    pipe: MAGEditPipeline, image: Image.Image, mask: Image.Image, prompt: str, config: EditConfig, meter: Meter
) -> Inversion:
    """Null-text inversion of ``image`` with every map formed."""
    box = (0, 0, *image.size)
    with frozen(pipe.unet), plain(pipe.unet):
        task = InversionTask(
            pipe._denoiser(config, meter), pipe.encode_image(image), pipe.encode(prompt), pipe.encode(""), config
        )
        inverted = _null_text(task)
    assert image.size == mask.size == (pipe.size, pipe.size)
    return Inversion(inverted, box, image.size, prompt, config)


def _null_text(task: InversionTask) -> Inverted:
    """Null-text inversion as released: the step itself passes both halves, the conditional one for the second time."""
    latents, timesteps = trajectory(task), task.denoiser.process.timesteps
    sampled, empty, optimised = [latents[0]], task.empty, []
    with task.denoiser.meter.stage(Stage.OPTIMIZE, task.config.steps):
        for i, t in enumerate(timesteps):
            empty, following = optimise(task, i, sampled[-1], latents[i + 1], empty)
            task.denoiser.predict(sampled[-1], t, task.source)
            optimised.append(empty)
            sampled.append(following)
    return Inverted(latents, tuple(optimised), exact=False, sampled=tuple(sampled))


@torch.no_grad()
def released_edit(
    pipe: MAGEditPipeline,
    image: Image.Image,
    masks: Sequence[Image.Image],
    target_prompt: str,
    regions: Sequence[Region],
    config: EditConfig,
    inversion: Inversion,
    meter: Meter,
) -> Tensor:
    """The edited latent (1, C, h, w) of an inverted image; every pass is whole and counted as such by ``meter``."""
    prompts = (inversion.source_prompt, target_prompt)
    encoded = check_words(*prompts, regions).regions
    inputs = trusted_inputs(image, masks)
    denoiser = pipe._denoiser(config, meter)
    (task,) = edit_tasks(pipe.backbone, denoiser, inputs, *prompts, encoded, config, inversion, encode=pipe.encode)
    schedule, sides = task.denoiser.process, {layer.name: layer.side for layer in task.guidance_sites}
    source = latent = task.inverted.latents[0]
    with frozen(pipe.unet), plain(pipe.unet) as maps, meter.stage(Stage.EDIT, config.steps):
        for i, t in enumerate(schedule.timesteps):
            for _ in range(config.iterations if i < config.guided_steps else 0):
                maps.edits = _source_pass(task, i, t, source, maps)
                with torch.enable_grad():
                    variable = latent.detach().requires_grad_(True)
                    task.denoiser.predict(variable, t, task.target)
                    loss = task.step_size * constraint_loss(
                        {name: maps.kept[name] for name in sides}, sides, task.words, config
                    )
                    (gradient,) = torch.autograd.grad(loss, variable)
                meter.passed(backward=1)
                latent = latent - task.mask * schedule.sigma(t) * gradient
            maps.edits = {}
            source_noise = _guided(task, i, t, source, task.source)
            maps.edits = task.injection.edits(i, dict(maps.kept), ())
            noise = _guided(task, i, t, latent, task.target)
            maps.edits = {}
            source, latent = schedule.step(source_noise, t, source), schedule.step(noise, t, latent)
            if i >= config.blend_from:
                latent = task.blend_mask * latent + (1 - task.blend_mask) * source
            meter.stepped()
    return latent


def _source_pass(task: EditTask, i: int, t: float, source: Tensor, maps: Maps) -> Mapping[str, ModuleEdit]:
    maps.edits = {}
    task.denoiser.predict(source, t, task.source)
    return task.injection.edits(i, dict(maps.kept), ())


def _guided(task: EditTask, i: int, t: float, latent: Tensor, prompt: Conditioning) -> Tensor:
    both = task.denoiser.predict(
        torch.cat([latent, latent]), t, Conditioning.cat([task.inverted.unconditional[i], prompt])
    )
    return classifier_free_guidance(both[:1], both[1:], task.config.guidance_scale)
