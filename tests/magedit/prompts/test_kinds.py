"""The kind of an edit, by its prompts, and what follows from it."""

from __future__ import annotations

from typing import get_args

import pytest

from magedit.config import EditConfig
from magedit.prompts.kinds import (
    KIND_GOVERNED,
    KINDS,
    EditKind,
    KindName,
    config_for,
    with_kind,
)
from magedit.prompts.reading import read_prompts

SOURCE = "a room with a red sofa, an orange lamp and a white ball"


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (SOURCE, "attribute"),
        ("a room with a green sofa, an orange lamp and a white ball", "attribute"),
        ("a room with a red sofa, a purple lamp and a white ball", "attribute"),
        ("a room with a dotted red sofa, an orange lamp and a white ball", "attribute"),
        ("a room with a sofa, an orange lamp and a white ball", "attribute"),
        ("a room with a red sofa, an orange lamp and a white table", "replacement"),
        ("a room with a red sofa, a plant in a blue pot and a white ball", "replacement"),
        ("a room with a red sofa, an orange lamp, a clock and a white ball", "addition"),
        ("a room with a red sofa, an orange lamp and a white ball on a table", "addition"),
        ("a room with a red sofa and a white ball", "removal"),
        ("a room with a red sofa, an orange lamp", "removal"),
        ("a green room with a red sofa, an orange lamp", "removal"),
    ],
)
def test_the_prompts_tell_the_kind(target: str, kind: EditKind) -> None:
    assert read_prompts(SOURCE, target).kind == kind


def test_explicit_parameters_win_over_the_kind() -> None:
    bare = "a room with a red sofa and a white ball"
    plain = config_for(SOURCE, bare)
    assert plain == EditConfig(**KINDS["removal"], negative_prompt="an orange lamp")
    chosen = config_for(SOURCE, bare, self_replace=0.5, negative_prompt="", steps=9)
    assert (chosen.self_replace, chosen.negative_prompt, chosen.steps) == (0.5, "", 9)
    assert chosen.cross_replace == KINDS["removal"]["cross_replace"]
    assert config_for(SOURCE, bare, kind="attribute") == EditConfig(**KINDS["attribute"])


def test_the_released_algorithm_and_other_methods_stay_as_published() -> None:
    bare = "a room with a red sofa and a white ball"
    assert config_for(SOURCE, bare, preset="exact") == EditConfig.preset("exact")
    assert config_for(SOURCE, bare, preset="exact", kind="removal").self_replace == KINDS["removal"]["self_replace"]
    for config in (EditConfig(method="p2p"), EditConfig(injection="pnp")):
        assert with_kind(config, "auto", SOURCE, bare, given=(), preset="balanced") == ("removal", config)


def test_the_table_is_complete() -> None:
    assert set(KINDS) == set(get_args(EditKind)) == set(get_args(KindName)) - {"auto"}
    for name in KIND_GOVERNED - {"negative_prompt"}:
        assert any(getattr(EditConfig(**values), name) != getattr(EditConfig(), name) for values in KINDS.values())


@pytest.mark.parametrize(
    ("source", "target", "kind"),
    [
        ("a picture", "a background", "removal"),
        ("a red lamp", "a white wall", "removal"),
        ("a sandy beach", "a snowy field", "replacement"),
        ("a cat on a sofa", "a cat on a wall", "replacement"),
    ],
)
def test_a_thing_alone_that_becomes_background_is_removed(source: str, target: str, kind: str) -> None:
    config = config_for(source, target)
    assert read_prompts(source, target).kind == kind
    assert config.masked_content == ("surroundings" if kind == "removal" else "source")
