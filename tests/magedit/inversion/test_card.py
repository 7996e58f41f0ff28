"""What holds for the card of every inversion."""

from __future__ import annotations

from magedit.inversion.registry import INVERSIONS


def test_whatever_a_trajectory_depends_on_is_read() -> None:
    for card in INVERSIONS.values():
        assert set(card.made_with) <= set(card.parameters)


def test_only_an_inversion_without_a_trajectory_suits_a_model_of_few_steps() -> None:
    for card in INVERSIONS.values():
        assert (card.reason_against({"few-step"}) is None) == card.is_virtual
