"""The table of inversions is complete."""

from __future__ import annotations

from typing import get_args

from magedit.config import InversionName
from magedit.inversion import INVERSIONS


def test_every_named_inversion_is_in_the_table() -> None:
    assert set(INVERSIONS) == set(get_args(InversionName))
