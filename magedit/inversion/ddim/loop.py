"""Plain DDIM inversion (Song et al., arXiv 2010.02502; Dhariwal & Nichol, arXiv 2105.05233, appendix F)."""

from __future__ import annotations

from torch import Tensor

from magedit.inversion.base import InversionTask, Inverted
from magedit.measures.report import Stage


def ddim(task: InversionTask) -> Inverted:
    """The trajectory under the source prompt, by the process's own steps; the empty prompt as the unconditional."""
    return Inverted(trajectory(task), (task.empty,) * task.config.steps, exact=False)


def trajectory(task: InversionTask) -> tuple[Tensor, ...]:
    """T conditional passes without guidance from z_0 up to z_T; returned from z_T down to z_0."""
    process = task.denoiser.process
    latents = [task.latent]
    with task.denoiser.meter.stage(Stage.INVERT, len(process.timesteps)):
        for t in reversed(process.timesteps):
            prediction = task.denoiser.predict(latents[-1], t, task.source, inverting=True)
            latents.append(process.invert_step(prediction, t, latents[-1]))
            task.denoiser.meter.stepped()
    return tuple(reversed(latents))
