"""Rectified flow: its schedule, its Euler steps and their reverse (arXiv 2209.03003; SD3: arXiv 2403.03206)."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from magedit.errors import CheckpointError

TICKS = 1000
"""The network's timesteps per unit of time."""

SIGMA_MAX = 14.6
"""Largest noise-to-signal ratio in guidance: that of Stable Diffusion at its last timestep. A flow's ratio is infinite
at its first step, which is pure noise."""


@dataclass(frozen=True)
class RectifiedFlow:
    """T timesteps, descending, as the network takes them: 1000 times the time, 1 the noise and 0 the picture.

    z_t = (1 - t) z_0 + t e, and the network predicts the velocity e - z_0. A `DiffusionProcess`
    (`magedit.backbones.base`) that predicts velocity.
    """

    timesteps: tuple[float, ...]

    @classmethod
    def from_scheduler(cls, scheduler: FlowMatchEulerDiscreteScheduler, steps: int, *, positions: int) -> RectifiedFlow:
        """The process of ``steps`` sampling steps, as diffusers spaces them.

        ``positions``: number of picture tokens, which shifts a dynamic schedule.

        Raises:
            CheckpointError: the schedule is of another kind.
        """
        if not isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
            raise CheckpointError(
                f"the checkpoint's scheduler is a {type(scheduler).__name__}: only FlowMatchEulerDiscreteScheduler "
                f"is supported"
            )
        scheduler = FlowMatchEulerDiscreteScheduler.from_config(scheduler.config)
        config = scheduler.config
        if config.use_dynamic_shifting:
            # As in diffusers' pipelines: the shift grows linearly with the picture.
            slope = (config.max_shift - config.base_shift) / (config.max_image_seq_len - config.base_image_seq_len)
            mu = config.base_shift + slope * (positions - config.base_image_seq_len)
            sigmas = torch.linspace(1.0, 1 / steps, steps).tolist()
            scheduler.set_timesteps(sigmas=sigmas, mu=mu)
        else:
            scheduler.set_timesteps(steps)
        return cls(tuple(float(t) for t in scheduler.timesteps))

    def following(self, timestep: float) -> float:
        """The next timestep; 0 after the last."""
        return (*self.timesteps, 0.0)[self.timesteps.index(timestep) + 1]

    def inversion_timestep(self, timestep: float) -> float:
        """The latent's own timestep (Euler's method)."""
        return self.following(timestep)

    def signal(self, timestep: float) -> float:
        """1 - t."""
        return 1 - timestep / TICKS

    def noise(self, timestep: float) -> float:
        """t."""
        return timestep / TICKS

    def sigma(self, timestep: float) -> float:
        """Noise-to-signal ratio t / (1 - t), at most `SIGMA_MAX`."""
        time = timestep / TICKS
        return min(SIGMA_MAX, time / (1 - time)) if time < 1 else SIGMA_MAX

    def prediction(self, output: Tensor, latents: Tensor, timestep: float) -> Tensor:
        """The velocity, which is the output itself."""
        del latents, timestep
        return output

    def add_noise(self, clean: Tensor, timestep: float, fresh: Tensor) -> Tensor:
        """(1 - t) ``clean`` + t ``fresh``."""
        return self.signal(timestep) * clean + self.noise(timestep) * fresh

    def predicted_clean(self, prediction: Tensor, timestep: float, latent: Tensor) -> Tensor:
        """z_0 along the predicted velocity."""
        return latent - self.noise(timestep) * prediction

    def step(
        self, prediction: Tensor, timestep: float, latent: Tensor, *, eta: float = 0.0, fresh: Tensor | None = None
    ) -> Tensor:
        """One Euler step from ``timestep`` to `following`.

        ``fresh`` noise replaces the share ``eta`` in 0..1 of the remaining noise, at equal deviation; 1 is diffusers'
        stochastic sampling.
        """
        end = self.following(timestep)
        if fresh is None or eta == 0:
            return latent + (self.noise(end) - self.noise(timestep)) * prediction
        clean = self.predicted_clean(prediction, timestep, latent)
        return self.add_noise(clean, end, sqrt(1 - eta**2) * (clean + prediction) + eta * fresh)

    def invert_step(self, prediction: Tensor, timestep: float, latent: Tensor) -> Tensor:
        """One Euler step from `following` up to ``timestep``."""
        return latent + (self.noise(timestep) - self.noise(self.following(timestep))) * prediction

    def training_timestep(self, generator: torch.Generator) -> float:
        """The logistic function of a normal variable (arXiv 2403.03206, 3.1)."""
        return TICKS * float(torch.randn((), generator=generator).sigmoid())

    def training_target(self, clean: Tensor, timestep: float, fresh: Tensor) -> Tensor:
        """The velocity."""
        del timestep
        return fresh - clean
