"""Facts about a checkpoint for resolving edits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from magedit.config import EditConfig
from magedit.edits.checkpoint import StepSizes, closed_vocabulary


@pytest.mark.parametrize(
    ("config", "step_size"),
    [
        (EditConfig(), 4.0),
        (EditConfig(constraint="spatial"), 0.5),
        (EditConfig(constraint="both"), 4.0),
        (EditConfig(constraint="spatial", guidance_step_size=7.0), 7.0),
    ],
)
def test_the_step_size_is_the_configurations_or_the_constraints(config: EditConfig, step_size: float) -> None:
    assert StepSizes(token=4.0, spatial=0.5).step_size(config) == step_size


def test_a_vocabulary_comes_with_the_checkpoint(tmp_path: Path) -> None:
    assert closed_vocabulary(tmp_path) is None
    assert closed_vocabulary("runwayml/stable-diffusion") is None
    (tmp_path / "vocabulary.json").write_text(json.dumps({"rooms": ["room"], "things": ["sofa", "lamp"]}))
    assert closed_vocabulary(tmp_path) == ("room", "sofa", "lamp")
