"""The English lexicon."""

from __future__ import annotations

from magedit.prompts.lexicon import Entry, entry


def test_the_lexicon_knows_forms_materials_and_compounds() -> None:
    leather, red, feet = entry("leather"), entry("red"), entry("feet")
    assert leather is not None
    assert "m" in leather.names
    assert red is not None
    assert "c" in red.names
    assert feet is not None
    assert feet.base == "foot"
    assert entry("palm_tree") is not None
    assert entry("zorblax") is None
    assert Entry().noun == 0
