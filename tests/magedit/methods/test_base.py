"""The table of methods is complete."""

from __future__ import annotations

from typing import get_args

from magedit.config import MethodName
from magedit.methods import METHODS


def test_every_named_method_is_in_the_table() -> None:
    assert set(METHODS) == set(get_args(MethodName))
