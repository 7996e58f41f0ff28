"""What every method reports: ratios and shares of the leading steps that it takes."""

from __future__ import annotations

import pytest

from magedit.config import EditConfig
from magedit.methods import METHODS
from magedit.pipeline import MAGEditPipeline
from tests.magedit.conftest import Room


@pytest.mark.parametrize("method", METHODS)
def test_each_method_reports_the_leading_half_of_its_own_steps(pipe: MAGEditPipeline, room: Room, method: str) -> None:
    config = EditConfig(method=method, steps=8, max_iterations=1, tune_steps=1)  # type: ignore[arg-type]
    output = pipe(room.image, [room.mask], room.source, room.target, (), config)
    steps = [step.step for step in output.measures.trace]
    start = {"diffedit": 4, "blended-latent": 2}.get(method, 0)
    assert steps == list(range(start, start + (8 - start) // 2))
    assert len(output.attention_steps) == len(steps)
    assert 0 < output.measures.after[0].token < 1
