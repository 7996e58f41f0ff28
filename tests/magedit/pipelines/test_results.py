from __future__ import annotations

import pytest

from magedit.measures.report import Ratios
from magedit.pipelines.results import mean_ratios


def test_means_are_per_region() -> None:
    steps = [
        (Ratios(token=0.0, spatial=0.2), Ratios(token=1.0, spatial=1.0)),
        (Ratios(token=0.5, spatial=0.4), Ratios(token=1.0, spatial=0.0)),
    ]
    first, second = mean_ratios(steps)
    assert (first.token, second.spatial) == (0.25, 0.5)
    assert first.spatial == pytest.approx(0.3)
    assert mean_ratios([]) == ()
