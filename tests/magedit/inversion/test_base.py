"""Where the source branch of an inversion comes from."""

from __future__ import annotations

import torch

from magedit.inversion.base import Inverted


def test_the_source_branch_is_the_trajectory_only_if_that_is_exact() -> None:
    latents, sampled = (torch.zeros(1), torch.ones(1)), (torch.ones(1), torch.zeros(1))
    assert Inverted(latents, (), exact=True, sampled=sampled).source is latents
    assert Inverted(latents, (), exact=False, sampled=sampled).source is sampled
    assert Inverted(latents, (), exact=False).source == ()
