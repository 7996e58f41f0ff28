"""Spacing of timesteps, and its derivation from a checkpoint. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Spacing = Literal["leading", "trailing", "consistency"]
"""Positions of an edit's timesteps among those of training: ``leading`` as for Stable Diffusion, ``trailing`` from the
last one on (arXiv 2305.08891, 3.3), ``consistency`` at some of those that a consistency model was distilled at."""

_TRAILING = ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler")
"""Schedulers of few-step checkpoints with ``trailing`` timesteps."""


def spacing_told(kind: str, scheduler: Mapping[str, Any], unet: Mapping[str, Any]) -> Spacing:
    """The spacing implied by the configs of a ``scheduler`` of class ``kind`` and of a UNet."""
    if kind in {"LCMScheduler", "TCDScheduler"} or unet.get("time_cond_proj_dim"):
        return "consistency"
    trails = scheduler.get("timestep_spacing") == "trailing" and not scheduler.get("rescale_betas_zero_snr")
    return "trailing" if trails and kind in _TRAILING else "leading"
