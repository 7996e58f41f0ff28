"""Validation of a checkpoint's default parameters."""

from __future__ import annotations

from typing import Any

import pytest

from magedit.backbones.checkpoints.defaults import check_defaults
from magedit.errors import CheckpointError


def test_defaults_for_all_methods_and_for_one_are_accepted() -> None:
    check_defaults({"steps": 8, "equalizer": {"red": 2.0}, "mag-edit": {"max_iterations": 40}})


@pytest.mark.parametrize(
    ("defaults", "named"),
    [
        ({"stepz": 8}, "stepz"),
        ({"steps": 1}, "steps"),
        ({"mag-edit": {"steps": "many"}}, "steps"),
        ({"mag-edt": {"steps": 8}}, "unknown method 'mag-edt': use one of mag-edit, "),
    ],
)
def test_an_invalid_default_is_named(defaults: dict[str, Any], named: str) -> None:
    with pytest.raises(CheckpointError, match=named):
        check_defaults(defaults)
