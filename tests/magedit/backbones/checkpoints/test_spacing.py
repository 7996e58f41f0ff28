"""Spacing of timesteps from a checkpoint's configs."""

from __future__ import annotations

from typing import Any

import pytest

from magedit.backbones.checkpoints.spacing import spacing_told


@pytest.mark.parametrize(
    ("kind", "scheduler", "unet", "spacing"),
    [
        ("PNDMScheduler", {}, {}, "leading"),
        ("PNDMScheduler", {"timestep_spacing": "trailing"}, {}, "leading"),
        ("EulerDiscreteScheduler", {"timestep_spacing": "leading"}, {}, "leading"),
        ("EulerDiscreteScheduler", {"timestep_spacing": "trailing"}, {}, "trailing"),
        ("EulerAncestralDiscreteScheduler", {"timestep_spacing": "trailing"}, {}, "trailing"),
        # Zero terminal SNR needs trailing timesteps at any number of steps: not a few-step checkpoint.
        ("EulerDiscreteScheduler", {"timestep_spacing": "trailing", "rescale_betas_zero_snr": True}, {}, "leading"),
        ("LCMScheduler", {}, {}, "consistency"),
        ("TCDScheduler", {}, {}, "consistency"),
        ("DDIMScheduler", {}, {"time_cond_proj_dim": 256}, "consistency"),
    ],
)
def test_spacing_of_known_checkpoints(kind: str, scheduler: dict[str, Any], unet: dict[str, Any], spacing: str) -> None:
    assert spacing_told(kind, scheduler, unet) == spacing
