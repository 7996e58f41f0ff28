"""The table of methods is complete."""

from __future__ import annotations

from magedit.methods.catalog import METHOD_CARDS
from magedit.methods.registry import METHODS


def test_every_method_that_works_on_latents_is_in_the_table() -> None:
    assert set(METHODS) == {card.name for card in METHOD_CARDS.values() if not card.own_checkpoint}
