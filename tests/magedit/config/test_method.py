"""Bounds of the parameters of single methods."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from magedit.config.method import OwnMaskParameters, TuningParameters


@pytest.mark.parametrize(
    ("kind", "field", "bounds"),
    [
        (OwnMaskParameters, "mask_maps", (1, 100)),
        (OwnMaskParameters, "mask_ratio", (0.1, 20.0)),
        (TuningParameters, "tune_steps", (1, 20_000)),
        (TuningParameters, "tune_learning_rate", (0.0, 1.0)),
        (TuningParameters, "tune_weight", (0.0, 1.0)),
    ],
)
def test_bounds_are_included_and_values_beyond_are_refused(kind: type, field: str, bounds: tuple[float, float]) -> None:
    low, high = bounds
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    for value in bounds:
        assert getattr(adapter.validate_python({field: value}), field) == value
    for value in (low - 1, high + 1):
        with pytest.raises(ValidationError, match=field):
            adapter.validate_python({field: value})
