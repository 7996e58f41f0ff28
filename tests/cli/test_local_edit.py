"""The service's checks and the worker's edit in this process."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from cli.errors import ModelUnavailable
from cli.local_edit import Here
from jobs.settings import Settings
from magedit.client import ServiceError
from tests.service.conftest import mask, picture

CHECKPOINT = str(Path(__file__).parents[1] / "data" / "tiny-checkpoint")
PROMPTS: dict[str, Any] = {"source_prompt": "a red sofa", "target_prompt": "a green sofa"}
QUICK: dict[str, Any] = {**PROMPTS, "steps": 2, "max_iterations": 1}


@pytest.fixture(scope="module")
def here() -> Here:
    return Here(Settings(checkpoint=CHECKPOINT, device="cpu"), Console(file=io.StringIO()))


def test_a_loaded_checkpoint_edits_again_and_again(here: Here) -> None:
    first, second = (here.edit(picture(), [mask()], **QUICK, artifacts=["attention"]) for _ in range(2))
    assert first.id != second.id
    assert first.state == second.state == "succeeded"
    assert first.measures is not None
    assert first.measures.unguided is not None
    assert first.timings.running_s is not None
    results = [here.fetch(edit.results[0].href) for edit in (first, second)]
    assert results[0] == results[1]
    for each in first.artifacts:
        assert len(here.fetch(each.href)) == each.size
    with Image.open(io.BytesIO(results[0])) as image:
        assert image.size == (64, 48)


def test_a_failed_edit_says_why_as_a_worker_does(here: Here) -> None:
    one_pixel = mask(box=(1, 1, 2, 2))
    with pytest.raises(ServiceError, match="use 'coverage'") as caught:
        here.edit(picture(), [one_pixel], **QUICK, mask_resampling="nearest")
    assert caught.value.problem.title == "The edit could not be carried out"
    assert here.edit(picture(), [mask()], **QUICK).state == "succeeded"


def test_a_checkpoint_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=str(tmp_path)):
        Here(Settings(checkpoint=str(tmp_path), device="cpu"), Console(file=io.StringIO()))
