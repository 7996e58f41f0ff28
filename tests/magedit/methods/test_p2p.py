"""Prompt-to-Prompt: equal prompts change nothing; cost is one source pass and one batch of two per step."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from magedit.config import EditConfig
from magedit.pipeline import MAGEditPipeline
from tests.magedit.conftest import Room

CONFIG = EditConfig(steps=8, method="p2p", blend_fraction=0.0)


def edit(pipe: MAGEditPipeline, room: Room, target: str, share: float) -> torch.Tensor:
    config = replace(CONFIG, inversion="negative-prompt", cross_replace=share, self_replace=share)
    latent = pipe(room.image, [room.mask], room.source, target, (), config, output_type="latent").images
    assert isinstance(latent, torch.Tensor)
    return latent


def test_injecting_the_source_into_itself_changes_nothing(pipe: MAGEditPipeline, room: Room) -> None:
    plain, injected = (edit(pipe, room, room.source, share) for share in (0.0, 1.0))
    assert (injected - plain).norm() / plain.norm() < 1e-2


def test_injecting_the_source_into_another_prompt_changes_the_edit(pipe: MAGEditPipeline, room: Room) -> None:
    plain, injected = (edit(pipe, room, room.target, share) for share in (0.0, 1.0))
    assert (injected - plain).norm() / plain.norm() > 0.1


@pytest.mark.parametrize(("inversion", "source_passes"), [("direct", 0), ("ddim", 8)])
def test_the_source_is_passed_once_per_step(
    pipe: MAGEditPipeline, room: Room, inversion: str, source_passes: int
) -> None:
    config = replace(CONFIG, inversion=inversion)  # type: ignore[arg-type]
    measures = pipe(room.image, [room.mask], room.source, room.target, (), config).measures
    assert measures.unet_forward == 8 + 8 + source_passes
    # Direct inversion needs the source's maps alone, while a window is open: int(0.8 * 9) steps.
    assert measures.unet_truncated_forward == (7 if inversion == "direct" else 0)
    assert measures.unet_backward == 0
