"""Short edits of the tiny checkpoint."""

from __future__ import annotations

from typing import Any

from magedit.config import EditConfig
from magedit.pipelines.mag_edit import MAGEditOutput, MAGEditPipeline
from tests.magedit.conftest import Room

QUICK_GIVEN: dict[str, Any] = {
    "steps": 4,
    "max_iterations": 1,
    "null_text_iterations": 1,
    "style_iterations": 1,
    "tune_steps": 1,
}


QUICK = EditConfig(**QUICK_GIVEN)


def run(pipe: MAGEditPipeline, room: Room, config: EditConfig = QUICK, **options: Any) -> MAGEditOutput:
    return pipe(room.image, [room.mask], room.source, room.target, (), config, **options)
