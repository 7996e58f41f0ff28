"""The DDIM schedule against diffusers' own steps."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler

from magedit.backbones.base import classifier_free_guidance
from magedit.backbones.ddim import DDIM
from magedit.errors import CheckpointError

PREDICTIONS = ["epsilon", "v_prediction"]


def scheduler(prediction: str = "epsilon") -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction,
    )


def latents() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 4, 8, 8, generator=generator)


def test_timesteps_of_fifty_steps() -> None:
    schedule = DDIM.from_scheduler(scheduler(), 50)
    assert schedule.timesteps == tuple(range(981, 0, -20))
    assert schedule.alpha(-19) == schedule.final_alpha_cumprod


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_a_step_is_diffusers_step(prediction: str, eta: float) -> None:
    theirs = scheduler(prediction)
    theirs.set_timesteps(50)
    ours = DDIM.from_scheduler(theirs, 50)
    latent, output = latents()
    fresh = torch.ones_like(latent)
    for t in (981, 501, 1):
        wanted = theirs.step(output, t, latent, eta=eta, variance_noise=fresh if eta else None).prev_sample
        noise = ours.prediction(output, latent, t)
        torch.testing.assert_close(ours.step(noise, t, latent, eta=eta, fresh=fresh), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_an_inversion_step_is_diffusers_inverse_step(prediction: str) -> None:
    theirs = DDIMInverseScheduler.from_config(scheduler(prediction).config)
    theirs.set_timesteps(50)
    ours = DDIM.from_scheduler(scheduler(prediction), 50)
    latent, output = latents()
    for t in (21, 501, 981):
        # Their timestep names the level that the step leads to.
        wanted = theirs.step(output, t, latent).prev_sample
        noise = ours.prediction(output, latent, ours.following(t))
        torch.testing.assert_close(ours.invert_step(noise, t, latent), wanted, rtol=1e-4, atol=1e-5)


def test_inversion_undoes_a_step_of_the_same_noise() -> None:
    schedule = DDIM.from_scheduler(scheduler(), 50)
    latent, noise = latents()
    for t in schedule.timesteps:
        torch.testing.assert_close(
            schedule.invert_step(noise, t, schedule.step(noise, t, latent)), latent, rtol=1e-3, atol=1e-4
        )


def test_sigma_is_the_noise_to_signal_ratio() -> None:
    schedule = DDIM.from_scheduler(scheduler(), 50)
    alpha = schedule.alpha(501)
    assert schedule.sigma(501) ** 2 * alpha == pytest.approx(1 - alpha)


def test_guidance_scale_one_is_the_conditional_noise() -> None:
    unconditional, conditional = latents()
    torch.testing.assert_close(classifier_free_guidance(unconditional, conditional, 1.0), conditional)


def test_other_predictions_are_refused_by_name() -> None:
    with pytest.raises(CheckpointError, match="'sample'"):
        DDIM.from_scheduler(scheduler("sample"), 50)
