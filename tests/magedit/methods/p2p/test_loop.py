"""Prompt-to-Prompt: equal prompts change nothing; cost is one source pass and one batch of two per step."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from magedit.config import EditConfig
from magedit.pipelines.mag_edit import MAGEditPipeline
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


def test_results_share_the_source_and_equal_single_edits(
    pipe: MAGEditPipeline, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    # To the bit, which a batch (test_batches) is not.
    monkeypatch.setattr(pipe, "batch_results", 1)
    # Closed, as the variants are: the kind of edit decides nothing.
    config = EditConfig(steps=4, max_iterations=2, n=2, sweep=(1.0, 0.0), seed=0).closed()
    all_of_them = pipe(room.image, [room.mask], room.source, room.target, (), config)
    assert isinstance(all_of_them.images, list)
    assert [(own.seed, own.strength) for own in all_of_them.measures.results] == [(0, 1), (0, 0), (1, 1), (1, 0)]
    sums = {"forward": 0, "truncated_forward": 0, "backward": 0}
    for number, variant in enumerate(config.variants):
        alone = pipe(room.image, [room.mask], room.source, room.target, (), variant, inversion=all_of_them.inversion)
        one = all_of_them.only(number)
        assert isinstance(alone.images, list)
        assert isinstance(one.images, list)
        assert alone.images[0].tobytes() == all_of_them.images[number].tobytes() == one.images[0].tobytes()
        assert one.measures.after == alone.measures.after
        assert one.measures.trace == alone.measures.trace
        sums = {name: total + getattr(alone.measures, f"unet_{name}") for name, total in sums.items()}
    assert len({picture.tobytes() for picture in all_of_them.images}) == 4
    measures = all_of_them.measures
    # One inversion of 4 passes; the source is passed once in each of its 4 injected steps, not once a result.
    assert measures.unet_forward == 4 + sums["forward"]
    assert measures.unet_truncated_forward == sums["truncated_forward"] - 3 * 4
    assert measures.unet_backward == sums["backward"]
    assert measures.outside_difference == 0


def test_a_negative_prompt_stands_in_for_the_unconditional_one(pipe: MAGEditPipeline, room: Room) -> None:
    def latent(negative: str, scale: float = 7.5) -> torch.Tensor:
        config = replace(CONFIG, steps=3, negative_prompt=negative, guidance_scale=scale)
        images = pipe(room.image, [room.mask], room.source, room.target, (), config, output_type="latent").images
        assert isinstance(images, torch.Tensor)
        return images

    assert not torch.equal(latent(""), latent("a red sofa"))
    assert torch.equal(latent("", 1.0), latent("a red sofa", 1.0))
