"""The cards: complete, true to what an edit costs, and the judge of what goes together."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from dataclasses import replace
from typing import Any, get_args

import pytest

from magedit.config import EditConfig, InversionName, MethodName
from magedit.errors import NotTogether, UnknownMethod
from magedit.inversion import INVERSIONS
from magedit.meter import planned
from magedit.methods.catalog import INVERSION_CARDS, METHOD_CARDS, check_together, for_method
from magedit.methods.registry import METHODS
from magedit.passes import Passes
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import Room

EVERY_GRADIENT = EditConfig(
    steps=5,
    max_iterations=2,
    gradient_tolerance=0.0,
    stop_margin=0.0,
    null_text_iterations=2,
    style_iterations=2,
    tune_steps=3,
)


def test_every_name_has_a_card_and_a_function() -> None:
    assert set(METHOD_CARDS) == set(get_args(MethodName))
    assert set(METHODS) == {card.name for card in METHOD_CARDS.values() if not card.own_checkpoint}
    assert set(INVERSION_CARDS) == set(INVERSIONS) == set(get_args(InversionName))


def test_cards_name_parameters_and_inversions_that_there_are() -> None:
    known = {field.name for field in dataclasses.fields(EditConfig)}
    for card in METHOD_CARDS.values():
        assert len(set(card.parameters)) == len(card.parameters)
        assert set(card.parameters) <= known
        assert set(card.inversions) <= set(INVERSION_CARDS)
        assert card.papers
    used = {name for card in METHOD_CARDS.values() for name in card.parameters}
    used |= {name for card in INVERSION_CARDS.values() for name in card.parameters}
    assert known - used == {"method", "inversion"}


def test_no_card_needs_torch() -> None:
    code = "import sys, magedit.methods.catalog; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "config",
    [
        *(replace(EVERY_GRADIENT, method=name) for name in METHODS),
        *(replace(EVERY_GRADIENT, method="p2p", inversion=name) for name in INVERSION_CARDS if name != "direct"),
        replace(EVERY_GRADIENT, injection="pnp"),
        replace(EVERY_GRADIENT, n=2, sweep=(1.0, 0.0)),
        replace(EVERY_GRADIENT, method="diffedit", n=2),
        replace(EVERY_GRADIENT, method="p2p", local_blend=0.3),
        replace(EVERY_GRADIENT, method="diffedit", mask_source="own", mask_maps=3, skip_fraction=0.2, mask_ratio=1.0),
    ],
    ids=lambda config: f"{config.method}-{config.inversion}-{config.injection}-{config.local_blend}-{config.results}",
)
def test_the_plan_is_what_an_edit_costs(pipe: MAGEditPipeline, room: Room, config: EditConfig) -> None:
    measures = pipe(room.image, [room.mask], room.source, room.target, (), config).measures
    plan = sum(planned(config, inverted=False).values(), Passes())
    spent = Passes(
        forward=measures.unet_forward, truncated=measures.unet_truncated_forward, backward=measures.unet_backward
    )
    if config.inversion in {"null-text", "style"}:  # may stop a step's updates early
        assert plan.work / 2 < spent.work <= plan.work
    else:
        assert spent == plan


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"method": "blended-latent", "inversion": "null-text"}, "inversion"),
        ({"method": "p2p", "injection": "pnp"}, "injection"),
        ({"method": "pnp", "equalizer": {"red": 2.0}}, "equalizer"),
        ({"method": "pnp", "local_blend": 0.3}, "local_blend"),
        ({"injection": "pnp", "local_blend": 0.3}, "local_blend"),
        ({"skip_fraction": 0.5}, "skip_fraction"),
        ({"method": "p2p", "sweep": (0.5, 1.0)}, "sweep"),
        ({"method": "diffedit", "inversion": "style"}, "inversion"),
        ({"method": "blended-latent", "mask_source": "own"}, "mask_source"),
    ],
)
def test_what_makes_no_sense_together_is_refused_at_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(NotTogether) as caught:
        check_together(EditConfig(**change))
    assert caught.value.field == field


def test_a_comparison_leaves_out_what_a_method_has_no_use_for() -> None:
    config = EditConfig(inversion="null-text", local_blend=0.3, skip_fraction=0.4, scale=2.0)
    guided, blended = for_method(config, "mag-edit"), for_method(config, "blended-latent")
    assert (guided.local_blend, guided.skip_fraction, guided.inversion) == (0.3, None, "null-text")
    assert (blended.local_blend, blended.skip_fraction, blended.inversion) == (None, 0.4, "direct")
    assert guided.scale == blended.scale == 2.0
    for each in (guided, blended):
        check_together(each)


def test_what_serves_another_method_is_no_contradiction() -> None:
    for name in METHOD_CARDS:
        check_together(EditConfig(method=name, constraint="spatial", scale=3.0, blend_fraction=0.1))
    with pytest.raises(UnknownMethod):
        check_together(EditConfig(method="magic"))  # type: ignore[arg-type]
