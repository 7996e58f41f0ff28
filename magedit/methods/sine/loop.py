"""SINE: single-image editing with a model tuned on the one picture (Zhang et al., arXiv 2212.04489)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
import torch.nn.functional as F
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from magedit.backbones.base import classifier_free_guidance, reading
from magedit.backbones.denoiser import Denoiser
from magedit.measures.report import Stage
from magedit.methods.base import EditedLatent, EditTask
from magedit.methods.sampling import fresh_noise, halves
from magedit.methods.trace import Watch

TUNING_SEED = 0
"""Seed of the tuning's timesteps and noise."""


def sine(tasks: Sequence[EditTask]) -> tuple[EditedLatent, ...]:
    """Tune once, then sample each result from noise of its own seed."""
    with tuned(tasks[0]) as remembering:
        return tuple(_sample(task, remembering) for task in tasks)


def _sample(task: EditTask, remembering: Denoiser) -> EditedLatent:
    """Sample under both models' guidance (section 3.2, model-based classifier-free guidance).

    In the first steps the conditional noise is the mean of the tuned model's under the source prompt, which remembers
    the picture, and the model's own under the target prompt; then the latter alone. With ``blend_fraction`` the last
    steps take the noised source outside the dilated mask.
    """
    config, denoiser, process = task.config, task.denoiser, task.denoiser.process
    clean, watch = task.inverted.latents[-1], Watch(task)
    with denoiser.meter.stage(Stage.EDIT, config.steps):
        latent = fresh_noise(task)
        for i, t in enumerate(process.timesteps):
            with denoiser.editing(reading(watch.reads(i))) as (own,):
                unconditional, conditional = halves(task, i, t, latent, task.target, task.negative)
            watch.record(i, t, own)
            if i < config.tuned_steps:
                remembered = remembering.predict(latent, t, task.source)
                conditional = config.tune_weight * remembered + (1 - config.tune_weight) * conditional
            prediction = classifier_free_guidance(unconditional, conditional, config.guidance_scale)
            task.predicted(prediction, t, latent)
            fresh = fresh_noise(task) if config.eta > 0 else None
            latent = process.step(prediction, t, latent, eta=config.eta, fresh=fresh)
            if i >= config.blend_from:
                background = process.add_noise(clean, process.following(t), fresh_noise(task))
                latent = task.blend_mask * latent + (1 - task.blend_mask) * background
            latent = task.stepped(i, t, latent)
    return watch.edited(latent, clean)


@contextmanager
def tuned(task: EditTask) -> Iterator[Denoiser]:
    """The denoiser on a copy of the network, tuned on the picture under the source prompt (section 3.1); the copy is
    freed on exit.

    The denoising loss at random timesteps, Adam, fp32 for models of any number format. The picture is the working
    crop at the checkpoint's size, so that the paper's patches, for other sizes, are not needed. Its noise is always the
    same, so that a result depends on its own seed alone.
    """
    denoiser, config = task.denoiser, task.config
    clean = task.inverted.latents[-1]
    backbone = denoiser.backbone
    original = backbone.network
    network = type(original).from_config(original.config)
    network.load_state_dict(original.state_dict())
    network.to(clean.device, torch.float32)
    if original.is_gradient_checkpointing:
        network.enable_gradient_checkpointing()
    copied = replace(denoiser, backbone=backbone.with_network(network))
    generator = torch.Generator("cpu").manual_seed(TUNING_SEED)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.tune_learning_rate)
    try:
        with denoiser.meter.stage(Stage.OPTIMIZE, config.tune_steps):
            for _ in range(config.tune_steps):
                with torch.enable_grad():
                    loss = _denoising_loss(copied, task, generator)
                    optimizer.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                denoiser.meter.passed(forward=1, backward=1)
                denoiser.meter.stepped()
        del optimizer
        network.requires_grad_(False).to(backbone.dtype)
        yield copied
    finally:
        del network, copied
        if clean.is_cuda:
            torch.cuda.empty_cache()


def _denoising_loss(denoiser: Denoiser, task: EditTask, generator: torch.Generator) -> Tensor:
    """The training loss of diffusion models (arXiv 2006.11239, equation 14) of the picture at one random timestep."""
    process, clean = denoiser.process, task.inverted.latents[-1]
    timestep = process.training_timestep(generator)
    fresh: Tensor = randn_tensor(clean.shape, generator=generator, device=clean.device)
    output = denoiser.backbone.predict(process.add_noise(clean, timestep, fresh), timestep, task.source)
    return F.mse_loss(output, process.training_target(clean, timestep, fresh))
