"""Embedding of the guidance scale."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline

from magedit.backbones.stable_diffusion.guidance_embedding import guidance_embedding


@pytest.mark.parametrize("width", [32, 33])
def test_it_matches_diffusers(width: int) -> None:
    reference: Any = StableDiffusionPipeline.get_guidance_scale_embedding
    scales = torch.tensor([1.0, 2.5, 7.5])
    wanted = reference(None, scales - 1, embedding_dim=width)
    assert torch.allclose(guidance_embedding(scales, width), wanted, atol=1e-4)
