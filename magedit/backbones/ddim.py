"""The DDIM process: its schedule and its two steps (Song et al., arXiv 2010.02502, equations 12 and 16)."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from diffusers import DDIMScheduler, LCMScheduler
from torch import Tensor

from magedit.backbones.checkpoints.spacing import Spacing
from magedit.errors import CheckpointError, InvalidParameter


@dataclass(frozen=True)
class DDIM:
    """T timesteps, descending, and the cumulative alphas of the checkpoint's training schedule.

    The level below the last timestep is ``final_alpha_cumprod``. A `DiffusionProcess` (`magedit.backbones.base`) that
    predicts noise.
    """

    timesteps: tuple[int, ...]
    alphas_cumprod: tuple[float, ...]
    final_alpha_cumprod: float
    prediction_type: str

    @classmethod
    def from_scheduler(cls, scheduler: DDIMScheduler, steps: int, spacing: Spacing = "leading") -> DDIM:
        """The process of ``steps`` sampling steps; timesteps as diffusers spaces them (``steps_offset`` included).

        Raises:
            CheckpointError: the checkpoint predicts neither epsilon nor v.
            InvalidParameter: a consistency model was distilled at fewer timesteps than ``steps``.
        """
        prediction = scheduler.config.prediction_type
        if prediction not in {"epsilon", "v_prediction"}:
            raise CheckpointError(
                f"the checkpoint's scheduler predicts {prediction!r}: only 'epsilon' and 'v_prediction' are supported"
            )
        if spacing == "consistency":
            spaced = LCMScheduler.from_config(scheduler.config)
            most = spaced.config.original_inference_steps
            if steps > most:
                raise InvalidParameter(f"{steps} steps: the checkpoint was distilled for at most {most}", field="steps")
        else:
            spaced = DDIMScheduler.from_config(scheduler.config, timestep_spacing=spacing)
        spaced.set_timesteps(steps)
        return cls(
            timesteps=tuple(int(t) for t in spaced.timesteps),
            alphas_cumprod=tuple(scheduler.alphas_cumprod.double().tolist()),
            final_alpha_cumprod=float(scheduler.final_alpha_cumprod),
            prediction_type=prediction,
        )

    def following(self, timestep: float) -> float:
        """The next timestep; -1 after the last."""
        return next((t for t in self.timesteps if t < timestep), -1)

    def inversion_timestep(self, timestep: float) -> float:
        """``timestep`` itself (arXiv 2105.05233, appendix F)."""
        return timestep

    def alpha(self, timestep: float) -> float:
        """abar at ``timestep``; ``final_alpha_cumprod`` below 0."""
        return self.alphas_cumprod[int(timestep)] if timestep >= 0 else self.final_alpha_cumprod

    def signal(self, timestep: float) -> float:
        """sqrt(abar)."""
        return sqrt(self.alpha(timestep))

    def noise(self, timestep: float) -> float:
        """sqrt(1 - abar)."""
        return sqrt(1 - self.alpha(timestep))

    def sigma(self, timestep: float) -> float:
        """sigma_t = sqrt((1 - abar_t) / abar_t), the noise-to-signal ratio that scales guidance (paper, 4.1)."""
        alpha = self.alpha(timestep)
        return sqrt((1 - alpha) / alpha)

    def prediction(self, output: Tensor, latents: Tensor, timestep: float) -> Tensor:
        """The noise predicted by a network's ``output`` for ``latents`` at the level of ``timestep``."""
        if self.prediction_type == "epsilon":
            return output
        return self.signal(timestep) * output + self.noise(timestep) * latents

    def add_noise(self, clean: Tensor, timestep: float, fresh: Tensor) -> Tensor:
        """``clean`` with ``fresh`` noise at ``timestep`` (arXiv 2006.11239, equation 4); clean itself below 0."""
        alpha = self.alpha(timestep) if timestep >= 0 else 1.0
        return sqrt(alpha) * clean + sqrt(1 - alpha) * fresh

    def predicted_clean(self, prediction: Tensor, timestep: float, latent: Tensor) -> Tensor:
        """z_0 along the predicted noise (arXiv 2010.02502, equation 9)."""
        return (latent - self.noise(timestep) * prediction) / self.signal(timestep)

    def step(
        self, prediction: Tensor, timestep: float, latent: Tensor, *, eta: float = 0.0, fresh: Tensor | None = None
    ) -> Tensor:
        """One DDIM step from ``timestep`` to `following`; tensors of any one shape.

        ``fresh`` noise enters with the standard deviation that ``eta`` in 0..1 gives (arXiv 2010.02502, equation 16).
        """
        end = self.following(timestep)
        if fresh is None or eta == 0:
            return self._move(latent, prediction, timestep, end)
        here, there = self.alpha(timestep), self.alpha(end)
        deviation = eta * sqrt((1 - there) / (1 - here) * (1 - here / there))
        clean = self.predicted_clean(prediction, timestep, latent)
        return sqrt(there) * clean + sqrt(1 - there - deviation**2) * prediction + deviation * fresh

    def invert_step(self, prediction: Tensor, timestep: float, latent: Tensor) -> Tensor:
        """One DDIM inversion step from `following` to ``timestep``."""
        return self._move(latent, prediction, self.following(timestep), timestep)

    def _move(self, latent: Tensor, prediction: Tensor, start: float, end: float) -> Tensor:
        """Move a latent between two noise levels along its predicted noise (arXiv 2010.02502, equation 12)."""
        return self.signal(end) * self.predicted_clean(prediction, start, latent) + self.noise(end) * prediction

    def training_timestep(self, generator: torch.Generator) -> float:
        """A timestep of the training schedule, uniformly."""
        return int(torch.randint(len(self.alphas_cumprod), (1,), generator=generator))

    def training_target(self, clean: Tensor, timestep: float, fresh: Tensor) -> Tensor:
        """The noise (arXiv 2006.11239, equation 14), or v (arXiv 2202.00512)."""
        if self.prediction_type == "epsilon":
            return fresh
        return self.signal(timestep) * fresh - self.noise(timestep) * clean
