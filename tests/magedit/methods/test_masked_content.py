"""Edits that begin with the mask's surroundings, and edits that skip the first steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from magedit.config import EditConfig
from magedit.demo import edit_set
from magedit.demo.evaluate import judge_edit
from magedit.errors import NotTogether
from magedit.methods.compatibility import check_together
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.prompts.kinds import config_for
from tests.magedit.conftest import Room
from tests.magedit.methods.conftest import Trained, cells, clean_of, latent_of

P2P = EditConfig(method="p2p", steps=8, blend_fraction=1.0)


@pytest.mark.parametrize("inversion", ["direct", "virtual"])
def test_a_removal_beside_a_twin_leaves_nothing_of_the_thing(trained: Trained, inversion: Any) -> None:
    (edit,) = [each for each in edit_set(1, 1) if each.name.startswith("complex-removal")]
    left = {}
    for content in ("source", "surroundings"):
        given: dict[str, Any] = {"steps": 8, "inversion": inversion, "masked_content": content}
        config = config_for(edit.source_prompt, edit.target_prompt, preset="fast", **given)
        result = trained.pipe(edit.image(128), [edit.mask(128)], edit.source_prompt, edit.target_prompt, (), config)
        left[content] = judge_edit(edit, result.images[0], 128)  # type: ignore[arg-type]
    assert left["surroundings"]["success"]
    assert left["surroundings"]["left"] < 0.1 < left["source"]["left"]


def test_removals_begin_with_the_surroundings() -> None:
    prompts = ("a sofa and a lamp", "a sofa")
    assert config_for(*prompts).masked_content == "surroundings"
    assert config_for(*prompts, masked_content="source").masked_content == "source"
    assert config_for("a red sofa", "a green sofa").masked_content == "source"


@pytest.mark.parametrize(
    ("given", "skipped"),
    [({}, 0), ({"masked_content": "surroundings"}, 4), ({"skip_fraction": 0.25}, 2)],
)
def test_skipped_steps_take_no_pass(pipe: MAGEditPipeline, room: Room, given: dict[str, Any], skipped: int) -> None:
    config = replace(P2P, **given)
    measures = pipe(room.image, [room.mask], room.source, room.target, (), config).measures
    assert measures.unet_forward == 8 + 8 - skipped
    assert measures.unet_truncated_forward == 7 - skipped


@pytest.mark.parametrize("inversion", ["direct", "virtual", "null-text"])
def test_outside_the_mask_the_source_stays_exact(pipe: MAGEditPipeline, room: Room, inversion: Any) -> None:
    config = replace(P2P, inversion=inversion, masked_content="surroundings", null_text_iterations=1)
    output = pipe(room.image, [room.mask], room.source, room.target, (), config, output_type="latent")
    outside = torch.nn.functional.max_pool2d(cells(room.mask, 32)[None], 3, stride=1, padding=1)[0] == 0
    plain = pipe(room.image, [room.mask], room.source, room.source, (), P2P, output_type="latent")
    if inversion != "null-text":
        assert torch.allclose(latent_of(output)[..., outside], clean_of(plain)[..., outside], atol=1e-4)
    assert not torch.allclose(latent_of(output)[..., ~outside], clean_of(plain)[..., ~outside], atol=0.1)


@pytest.mark.parametrize(
    "config",
    [
        EditConfig(method="pnp", masked_content="surroundings"),
        EditConfig(method="diffedit", masked_content="surroundings"),
        EditConfig(injection="pnp", masked_content="surroundings"),
        EditConfig(injection="pnp", skip_fraction=0.5),
    ],
)
def test_methods_that_would_bring_the_source_back_refuse_it(config: EditConfig) -> None:
    with pytest.raises(NotTogether, match=r"masked_content|skip_fraction"):
        check_together(config)
