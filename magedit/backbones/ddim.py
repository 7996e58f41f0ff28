"""The DDIM schedule and its two steps, as pure functions (Song et al., arXiv 2010.02502, equations 12 and 16)."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from diffusers import DDIMScheduler
from torch import Tensor

from magedit.errors import CheckpointError


@dataclass(frozen=True)
class Schedule:
    """T timesteps, descending, and the cumulative alphas of the checkpoint's training schedule.

    ``stride`` is the distance of two timesteps (1000 / T); the level before the last timestep is
    ``final_alpha_cumprod``.
    """

    timesteps: tuple[int, ...]
    stride: int
    alphas_cumprod: tuple[float, ...]
    final_alpha_cumprod: float
    prediction_type: str

    @classmethod
    def from_scheduler(cls, scheduler: DDIMScheduler, steps: int) -> Schedule:
        """The schedule of ``steps`` sampling steps; timesteps as diffusers spaces them (``steps_offset`` included).

        Raises:
            CheckpointError: the checkpoint predicts neither epsilon nor v.
        """
        prediction = scheduler.config.prediction_type
        if prediction not in {"epsilon", "v_prediction"}:
            raise CheckpointError(
                f"the checkpoint's scheduler predicts {prediction!r}: 'epsilon' and 'v_prediction' can be edited with"
            )
        scheduler = DDIMScheduler.from_config(scheduler.config)
        scheduler.set_timesteps(steps)
        return cls(
            timesteps=tuple(int(t) for t in scheduler.timesteps),
            stride=scheduler.config.num_train_timesteps // steps,
            alphas_cumprod=tuple(scheduler.alphas_cumprod.double().tolist()),
            final_alpha_cumprod=float(scheduler.final_alpha_cumprod),
            prediction_type=prediction,
        )

    def alpha(self, timestep: int) -> float:
        """abar at ``timestep``; ``final_alpha_cumprod`` below 0."""
        return self.alphas_cumprod[timestep] if timestep >= 0 else self.final_alpha_cumprod

    def sigma(self, timestep: int) -> float:
        """sigma_t = sqrt((1 - abar_t) / abar_t), the noise-to-signal ratio that scales guidance (paper, 4.1)."""
        alpha = self.alpha(timestep)
        return sqrt((1 - alpha) / alpha)

    def epsilon(self, output: Tensor, latent: Tensor, alpha: float) -> Tensor:
        """The noise that a UNet ``output`` stands for, given the ``latent`` at cumulative ``alpha``."""
        if self.prediction_type == "epsilon":
            return output
        return sqrt(alpha) * output + sqrt(1 - alpha) * latent

    def noised(self, clean: Tensor, timestep: int, fresh: Tensor) -> Tensor:
        """``clean`` with ``fresh`` noise at ``timestep`` (arXiv 2006.11239, equation 4); clean itself below 0."""
        alpha = self.alphas_cumprod[timestep] if timestep >= 0 else 1.0
        return sqrt(alpha) * clean + sqrt(1 - alpha) * fresh

    def step(
        self, noise: Tensor, timestep: int, latent: Tensor, *, eta: float = 0.0, fresh: Tensor | None = None
    ) -> Tensor:
        """One DDIM step from ``timestep`` to ``timestep - stride``; tensors of any one shape.

        ``fresh`` noise enters with the standard deviation that ``eta`` in 0..1 gives (arXiv 2010.02502, equation 16).
        """
        here, there = self.alpha(timestep), self.alpha(timestep - self.stride)
        if fresh is None or eta == 0:
            return move(latent, noise, here, there)
        deviation = eta * sqrt((1 - there) / (1 - here) * (1 - here / there))
        clean = (latent - sqrt(1 - here) * noise) / sqrt(here)
        return sqrt(there) * clean + sqrt(1 - there - deviation**2) * noise + deviation * fresh

    def invert_step(self, noise: Tensor, timestep: int, latent: Tensor) -> Tensor:
        """One DDIM inversion step from ``timestep - stride`` to ``timestep``."""
        return move(latent, noise, self.alpha(timestep - self.stride), self.alpha(timestep))


def move(latent: Tensor, noise: Tensor, alpha_from: float, alpha_to: float) -> Tensor:
    """Carry a latent between two noise levels along its predicted ``noise`` (arXiv 2010.02502, equation 12)."""
    clean = (latent - sqrt(1 - alpha_from) * noise) / sqrt(alpha_from)
    return sqrt(alpha_to) * clean + sqrt(1 - alpha_to) * noise


def guided_noise(unconditional: Tensor, conditional: Tensor, guidance_scale: float) -> Tensor:
    """Classifier-free guidance (arXiv 2207.12598, equation 6); ``guidance_scale`` 1 is the conditional noise."""
    return unconditional + guidance_scale * (conditional - unconditional)
