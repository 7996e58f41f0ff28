"""What every method reports: ratios and shares of the leading steps that it takes."""

from __future__ import annotations

import pytest
from PIL import Image

from magedit.config import EditConfig, Region
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import FOR_DIFFUSION, Room


@pytest.mark.parametrize("method", FOR_DIFFUSION)
def test_each_method_traces_the_leading_half_of_its_steps(pipe: MAGEditPipeline, room: Room, method: str) -> None:
    config = EditConfig(method=method, steps=8, max_iterations=1, tune_steps=1)  # type: ignore[arg-type]
    output = pipe(room.image, [room.mask], room.source, room.target, (), config)
    steps = [step.step for step in output.measures.trace]
    start = {"diffedit": 4, "instruct-edit": 4, "blended-latent": 2}.get(method, 0)
    assert steps == list(range(start, start + (8 - start) // 2))
    assert len(output.attention_steps) == len(steps)
    assert 0 < output.measures.after[0].token < 1


def test_a_region_without_words_looks_nowhere(pipe: MAGEditPipeline, room: Room) -> None:
    corner = Image.new("L", room.mask.size)
    corner.paste(255, (0, 0, 40, 40))
    output = pipe(
        room.image,
        [room.mask, corner],
        room.source,
        "a red sofa",
        [Region(words=("sofa",)), Region()],
        EditConfig(method="p2p", steps=4),
    )
    assert output.attention[0].sum() > 0
    assert output.attention[1].shape == output.attention[0].shape
    assert output.attention[1].sum() == 0
    assert (output.measures.after[1].token, output.measures.after[1].spatial) == (0, 0)
