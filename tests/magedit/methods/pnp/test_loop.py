"""Plug-and-Play: with equal prompts the source itself; features and attention come from the source."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from magedit.config import EditConfig, InversionName
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import Room, relative
from tests.magedit.methods.conftest import Trained, cells, clean_of, latent_of

# The source prompt as the unconditional: guidance cancels on the source, so that it is its own reconstruction.
CONFIG = EditConfig(method="pnp", steps=8, inversion="negative-prompt", blend_fraction=0.0)


def edit(pipe: MAGEditPipeline, room: Room, target: str, config: EditConfig) -> Tensor:
    return latent_of(pipe(room.image, [room.mask], room.source, target, (), config, output_type="latent"))


def test_equal_prompts_give_the_reconstruction(pipe: MAGEditPipeline, room: Room) -> None:
    plain = replace(CONFIG, feature_replace=0.0, self_replace=0.0)
    reconstruction = edit(pipe, room, room.source, plain)
    assert relative(edit(pipe, room, room.source, CONFIG), reconstruction) < 1e-4


@pytest.mark.parametrize(("inversion", "drift"), [("ddim", 0.0), ("direct", 0.06)])
def test_equal_prompts_give_the_reconstruction_without_guidance(
    trained: Trained, inversion: InversionName, drift: float
) -> None:
    """The paper's reconstruction is unguided. `ddim` samples the source alike; `direct` keeps the trajectory itself,
    off which DDIM drifts a little."""
    output = trained.edit(replace(CONFIG, inversion=inversion, steps=20, guidance_scale=1.0), target=trained.source)
    assert relative(latent_of(output), output.edited[0].source) <= drift + 1e-5
    assert relative(latent_of(output), clean_of(output)) < 0.06


@pytest.mark.parametrize("inversion", ["ddim", "direct"])
def test_equal_prompts_under_guidance(trained: Trained, inversion: InversionName) -> None:
    """Under the paper's guidance of 7.5, which amplifies the prompt. `ddim` guides the source alike, so the edit is
    its source and, injected, stays near it; on the trajectory of `direct`, what is injected holds the edit."""
    errors = []
    for share in (0.0, 1.0):
        config = replace(CONFIG, inversion=inversion, steps=10, feature_replace=share, self_replace=share)
        assert config.guidance_scale == 7.5
        output = trained.edit(config, target=trained.source)
        reference = output.edited[0].source if inversion == "ddim" else clean_of(output)
        errors.append(relative(latent_of(output), reference))
    if inversion == "ddim":
        assert errors[0] < 1e-5
        assert errors[1] < 0.06
    else:
        assert errors[1] < 0.95 * errors[0]


def test_injection_keeps_the_edit_close_to_the_source(trained: Trained) -> None:
    """A prompt that names hardly anything of the room: its things stand where they stood, if they are injected."""
    errors, away = [], cells(trained.mask, 16) == 0
    for share in (0.0, 1.0):
        config = replace(CONFIG, steps=20, inversion="ddim", feature_replace=share, self_replace=share)
        output = trained.edit(config, target="a room with a table and a green sofa")
        errors.append(relative(latent_of(output)[..., away], clean_of(output)[..., away]))
    assert errors[1] < 0.8 * errors[0]


@pytest.mark.parametrize(("inversion", "source_passes", "truncated"), [("direct", 0, 6), ("ddim", 8, 0)])
def test_the_source_is_passed_while_something_is_injected(
    pipe: MAGEditPipeline, room: Room, inversion: str, source_passes: int, truncated: int
) -> None:
    config = replace(CONFIG, inversion=inversion)  # type: ignore[arg-type]
    measures = pipe(room.image, [room.mask], room.source, room.target, (), config).measures
    assert measures.unet_forward == 8 + 8 + source_passes
    assert measures.unet_truncated_forward == truncated


def test_guidance_on_features_is_plug_and_play_without_a_push(pipe: MAGEditPipeline, room: Room) -> None:
    config = EditConfig(steps=4, injection="pnp", max_iterations=2)
    pushed = pipe(room.image, [room.mask], room.source, room.target, (), config, output_type="latent")
    assert pushed.measures.unet_backward > 0
    assert pushed.measures.after[0].token > pushed.measures.before[0].token
    without = edit(pipe, room, room.target, replace(config, strength=0.0))
    assert torch.equal(without, edit(pipe, room, room.target, EditConfig(steps=4, method="pnp")))
