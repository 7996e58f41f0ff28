"""The names: handed on by `magedit.config`, each with a card."""

from __future__ import annotations

from typing import get_args

from magedit import config
from magedit.config import types
from magedit.methods.catalog import INVERSION_CARDS, METHOD_CARDS


def test_what_config_hands_on_is_what_the_cards_are_of() -> None:
    assert config.Region is types.Region
    assert set(get_args(types.MethodName)) == set(METHOD_CARDS)
    assert set(get_args(types.InversionName)) == set(INVERSION_CARDS)
