"""Blended Latent Diffusion (Avrahami et al., arXiv 2206.02779, algorithm 1)."""

from __future__ import annotations

from magedit.backbones.stable_diffusion.attention import LayerEdit, editing
from magedit.methods.base import EditedLatent, EditTask
from magedit.methods.sampling import advance, fresh_noise
from magedit.methods.trace import Watch
from magedit.report import Stage


def blended_latent(task: EditTask) -> EditedLatent:
    """Sample the target prompt from the noised source; after each step everything outside M is the source again,
    noised to the level of the next step, and in the end the source itself."""
    config, denoiser, schedule = task.config, task.denoiser, task.denoiser.schedule
    clean, start = task.inverted.latents[-1], config.skipped_steps
    latent = schedule.noised(clean, schedule.timesteps[start], fresh_noise(task))
    watch = Watch(task)
    with denoiser.meter.stage(Stage.EDIT, config.steps - start):
        for i, t in enumerate(schedule.timesteps[start:], start):
            with editing(denoiser.unet, {name: LayerEdit(read=True) for name in watch.reads(i)}) as own:
                latent = advance(task, i, t, latent)
            watch.record(i, t, own)
            background = schedule.noised(clean, t - schedule.stride, fresh_noise(task))
            latent = task.mask * latent + (1 - task.mask) * background
            latent = task.stepped(i, t, latent)
    return watch.edited(latent, clean)
