"""The cards: complete, readable without torch, and true to what an edit costs."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from dataclasses import replace
from typing import get_args

import pytest

from magedit.config import EditConfig, MethodName
from magedit.inversion.registry import INVERSIONS
from magedit.measures.meter import planned
from magedit.measures.passes import Passes
from magedit.methods.registry import METHODS
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import FOR_DIFFUSION, Room

EVERY_GRADIENT = EditConfig(
    steps=5,
    max_iterations=2,
    gradient_tolerance=0.0,
    stop_margin=0.0,
    null_text_iterations=2,
    style_iterations=2,
    tune_steps=3,
)


def test_every_name_has_its_card() -> None:
    assert [card.name for card in METHODS.values()] == list(get_args(MethodName))


def test_cards_name_parameters_and_inversions_that_there_are() -> None:
    known = {field.name for field in dataclasses.fields(EditConfig)}
    for card in METHODS.values():
        assert len(set(card.parameters)) == len(card.parameters)
        assert set(card.parameters) <= known
        assert set(card.inversions) <= set(INVERSIONS)
        assert card.papers
    used = {name for card in METHODS.values() for name in card.parameters}
    used |= {name for card in INVERSIONS.values() for name in card.parameters}
    assert known - used == {"method", "inversion"}


def test_no_card_needs_torch() -> None:
    code = "import sys, magedit.methods.registry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "config",
    [
        *(replace(EVERY_GRADIENT, method=name) for name in FOR_DIFFUSION),
        *(replace(EVERY_GRADIENT, method="p2p", inversion=name) for name in INVERSIONS if name != "direct"),
        replace(EVERY_GRADIENT, injection="pnp"),
        replace(EVERY_GRADIENT, n=2, sweep=(1.0, 0.0)),
        replace(EVERY_GRADIENT, method="diffedit", n=2),
        replace(EVERY_GRADIENT, method="p2p", local_blend=0.3),
        replace(EVERY_GRADIENT, method="diffedit", mask_source="own", mask_maps=3, skip_fraction=0.2, mask_ratio=1.0),
    ],
    ids=lambda config: f"{config.method}-{config.inversion}-{config.injection}-{config.local_blend}-{config.results}",
)
def test_planned_passes_match_the_edits(pipe: MAGEditPipeline, room: Room, config: EditConfig) -> None:
    measures = pipe(room.image, [room.mask], room.source, room.target, (), config).measures
    plan = sum(planned(config, inverted=False).values(), Passes())
    spent = Passes(
        forward=measures.unet_forward, truncated=measures.unet_truncated_forward, backward=measures.unet_backward
    )
    if config.inversion in {"null-text", "style"}:  # may stop a step's updates early
        assert plan.work / 2 < spent.work <= plan.work
    else:
        assert spent == plan
