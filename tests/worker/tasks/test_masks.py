"""Masks by a real worker process: found, stored, committed, and told why not."""

from __future__ import annotations

import random
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.schema import MaskRecord, MaskRequest, State, new_id
from jobs.settings import Settings
from jobs.storage import image_key, sha256
from magedit.demo.draw import draw_scene
from magedit.demo.scene import sample_scene
from magedit.masks.rle import decode
from magedit.masks.shapes import MaskPrompt
from magedit.segmenters.finder import Finders
from magedit.segmenters.sam import SamSegmenter
from recipes.presets.segmenter import SEGMENTER_TOY
from recipes.segmenter import build_segmenter, export_segmenter
from tests.conftest import PATIENCE_S, running, wait_until
from tests.jobs.conftest import Desk, png
from tests.worker.conftest import CHECKPOINT, environment
from worker.models.served_model import load
from worker.progress import AttemptEnded, Reporter, Stop
from worker.tasks.masks import run


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("segmenter") / "sam"
    export_segmenter(build_segmenter(SEGMENTER_TOY.segmenter, SEGMENTER_TOY.size), folder)
    return folder


def picture() -> Image.Image:
    return Image.radial_gradient("L").resize((60, 40)).convert("RGB")


def submit(desk: Desk, **prompt: object) -> MaskRecord:
    """An accepted mask."""
    job_id = new_id()
    request = MaskRequest.model_validate({"model": desk.settings.model, **prompt})
    record = MaskRecord(id=job_id, tenant="local", request=request, image=image_key("local", job_id))
    desk.store.put(record.image, png(picture()), "image/png")
    kept = desk.records.create(record)
    desk.queue.enqueue(kept)
    assert isinstance(kept, MaskRecord)
    return kept


def ended(desk: Desk, record: MaskRecord) -> bool:
    return desk.records.require_mask(record.id, "local").state.is_terminal


def test_candidates_are_stored_as_they_are_described(desk: Desk, sam: Path) -> None:
    record = submit(desk, points=[[30, 20, 1]])
    claim = desk.records.claim(record.id, "w")
    assert isinstance(claim, MaskRecord)
    done = run(claim, Finders(segmenter=SamSegmenter.load(sam)), desk.store, Reporter())
    assert len(done.candidates) == len(done.results) >= 1
    for candidate, stored in zip(done.candidates, done.results, strict=True):
        selected = np.asarray(Image.open(BytesIO(desk.store.get(stored.key)))) > 0
        assert np.array_equal(decode(candidate.rle, "rle"), selected)
        assert candidate.area == selected.sum()
    assert desk.records.commit_mask(claim, done.candidates, done.found_by, done.results) is State.SUCCEEDED
    kept = desk.records.require_mask(record.id, "local")
    assert (kept.candidates, kept.found_by, kept.results) == (done.candidates, "segmenter", done.results)


def test_a_mask_that_is_canceled_stops(desk: Desk, sam: Path) -> None:
    claim = desk.records.claim(submit(desk, points=[[30, 20, 1]]).id, "w")
    assert isinstance(claim, MaskRecord)
    report = Reporter()
    report.stop(Stop.CANCELED)
    with pytest.raises(AttemptEnded):
        run(claim, Finders(segmenter=SamSegmenter.load(sam)), desk.store, report)


def test_a_worker_serves_an_edit_model_and_a_segmenter_side_by_side(sam: Path) -> None:
    info = load(Settings(checkpoint=str(CHECKPOINT), device="cpu", segmenter=str(sam))).info
    assert info.finds_by == ("points", "box", "words")
    assert info.methods
    assert not info.detects
    assert load(Settings(checkpoint=str(CHECKPOINT), device="cpu")).info.finds_by == info.finds_by  # by attention


def test_a_worker_of_the_demo_finds_with_the_segmenter_that_ships() -> None:
    served = load(Settings(device="cpu"))
    assert served.finder is not None
    image = draw_scene(sample_scene(random.Random(3)))
    assert served.finder.find(image, MaskPrompt.model_validate({"points": [[64, 64, 1]]})).found_by == "segmenter"


def test_a_worker_runs_masks_before_edits_and_reports_failures(desk: Desk, sam: Path) -> None:
    edit = desk.submit()
    found, lost = submit(desk, points=[[30, 20, 1]]), submit(desk, points=[[300, 20, 1]])
    settings = desk.settings.model_copy(update={"checkpoint": str(CHECKPOINT), "device": "cpu", "segmenter": str(sam)})
    with running([sys.executable, "-m", "worker"], env=environment(settings)):
        wait_until(lambda: ended(desk, found) and ended(desk, lost), PATIENCE_S, "end of the masks")
        done = desk.records.require_mask(found.id, "local")
        assert done.state is State.SUCCEEDED, done.problem
        assert [sha256(desk.store.get(each.key)) for each in done.results] == [each.sha256 for each in done.results]
        failed = desk.records.require_mask(lost.id, "local")
        assert failed.problem is not None
        assert (failed.problem.code, failed.problem.errors[0].field) == ("point_outside_image", "points.0")
        wait_until(lambda: desk.get(edit).state.is_terminal, PATIENCE_S, "end of the edit")
        finished, began = done.finished_at, desk.get(edit).started_at
        assert finished is not None
        assert began is not None
        assert finished <= began
