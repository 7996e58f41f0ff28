"""Blended Latent Diffusion (Avrahami et al., arXiv 2206.02779, algorithm 1)."""

from __future__ import annotations

import torch

from magedit.backbones.base import reading
from magedit.measures.report import Stage
from magedit.methods.base import EditedLatent, EditTask, in_turn
from magedit.methods.sampling import advance, fresh_noise
from magedit.methods.trace import Watch


@in_turn
def blended_latent(task: EditTask) -> EditedLatent:
    """Sample the target prompt from the noised source, or from what fills it inside M.

    After each step everything outside M is the source again, noised to the level of the next step, and in the end the
    source itself.
    """
    config, denoiser, process = task.config, task.denoiser, task.denoiser.process
    clean, start = task.inverted.latents[-1], config.skipped_steps
    begun = clean if task.filled is None else torch.where(task.mask > 0, task.filled, clean)
    latent = process.add_noise(begun, process.timesteps[start], fresh_noise(task))
    watch = Watch(task)
    with denoiser.meter.stage(Stage.EDIT, config.steps - start):
        for i, t in enumerate(process.timesteps[start:], start):
            with denoiser.editing(reading(watch.reads(i))) as (own,):
                latent = advance(task, i, t, latent)
            watch.record(i, t, own)
            background = process.add_noise(clean, process.following(t), fresh_noise(task))
            latent = task.mask * latent + (1 - task.mask) * background
            latent = task.stepped(i, t, latent)
    return watch.edited(latent, clean)
