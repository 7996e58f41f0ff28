"""Rectified flow: its schedule is diffusers', its steps go there and back."""

from __future__ import annotations

import pytest
import torch
from diffusers import EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler

from magedit.backbones.flow import SIGMA_MAX, RectifiedFlow
from magedit.errors import CheckpointError


def flow(steps: int = 8, **config: object) -> RectifiedFlow:
    return RectifiedFlow.from_scheduler(
        FlowMatchEulerDiscreteScheduler(**{"shift": 3.0, **config}), steps, positions=64
    )


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_step_is_diffusers_own(eta: float) -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0, stochastic_sampling=eta == 1.0)
    scheduler.set_timesteps(8)
    process = flow()
    latent, velocity = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    for t in scheduler.timesteps:
        fresh = torch.randn(latent.shape, generator=torch.Generator().manual_seed(int(t)))
        ours = process.step(velocity, float(t), latent, eta=eta, fresh=fresh)
        generator = torch.Generator().manual_seed(int(t))
        torch.manual_seed(int(t))
        theirs = scheduler.step(velocity, t, latent, generator=generator, return_dict=False)[0]
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
        latent = ours


def test_the_last_step_ends_at_the_picture() -> None:
    process = flow()
    assert process.following(process.timesteps[-1]) == 0
    clean, fresh = torch.randn(2, 1, 4, 8, 8)
    for t in (process.timesteps[0], process.timesteps[-1]):
        noised = process.add_noise(clean, t, fresh)
        velocity = process.training_target(clean, t, fresh)
        torch.testing.assert_close(process.predicted_clean(velocity, t, noised), clean)
    assert torch.equal(process.add_noise(clean, 0.0, fresh), clean)
    torch.testing.assert_close(process.step(velocity, process.timesteps[-1], noised), clean)


def test_a_step_back_is_the_steps_reverse() -> None:
    process = flow()
    latent, velocity = torch.randn(2, 1, 4, 8, 8)
    t = process.timesteps[3]
    assert process.inversion_timestep(t) == process.timesteps[4]
    torch.testing.assert_close(process.step(velocity, t, process.invert_step(velocity, t, latent)), latent)


def test_noise_to_signal_falls_from_a_bound() -> None:
    process = flow(28)
    sigmas = [process.sigma(t) for t in process.timesteps]
    assert sigmas[0] == SIGMA_MAX
    assert sigmas == sorted(sigmas, reverse=True)
    assert process.sigma(500.0) == pytest.approx(1.0)


def test_a_dynamic_schedule_is_shifted_by_the_pictures_size() -> None:
    def middle(positions: int) -> float:
        scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
        return RectifiedFlow.from_scheduler(scheduler, 8, positions=positions).timesteps[4]

    assert middle(256) == pytest.approx(1000 * 0.5 / (0.5 + 0.5 * torch.tensor(-0.5).exp().item()), rel=1e-4)
    assert middle(4096) > middle(256)


def test_another_schedule_is_refused() -> None:
    with pytest.raises(CheckpointError, match="EulerDiscreteScheduler"):
        RectifiedFlow.from_scheduler(EulerDiscreteScheduler(), 8, positions=64)
