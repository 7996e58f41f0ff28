"""Inversions that are kept in storage, with the tiny real checkpoint."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from jobs.schema import JobRecord
from jobs.storage import INVERSIONS, ObjectStore
from magedit.config import EditConfig
from tests.jobs.conftest import Desk
from worker.models.served_model import ServedModel
from worker.progress import AttemptEnded, Reporter, Stop
from worker.tasks import edit
from worker.tasks.edit import Finished
from worker.tasks.inversion_cache import Inversions

CONFIG = EditConfig(steps=2, max_iterations=1)


@pytest.fixture
def shelf(desk: Desk, real_model: ServedModel) -> Inversions:
    assert real_model.fingerprint is not None
    return Inversions(store=desk.store, info=real_model.info, fingerprint=real_model.fingerprint)


def claimed(desk: Desk, target: str, config: EditConfig = CONFIG, **changes: Any) -> JobRecord:
    claim = desk.records.claim(desk.submit(target, config=config, **changes).id, "w")
    assert claim is not None
    return claim


def run(desk: Desk, model: ServedModel, shelf: Inversions, claim: JobRecord) -> Finished:
    return edit.run(claim, model.editor, desk.store, Reporter(), shelf)


def result(desk: Desk, finished: Finished) -> bytes:
    return desk.store.get(finished.results[0].key)


def test_another_prompt_reuses_the_inversion_with_identical_results(
    desk: Desk, real_model: ServedModel, shelf: Inversions
) -> None:
    first = run(desk, real_model, shelf, claimed(desk, "red"))
    second = run(desk, real_model, shelf, claimed(desk, "blue"))
    assert (first.measures.inversion_reused, second.measures.inversion_reused) == (False, True)
    assert len(desk.store.keys(INVERSIONS)) == 1
    anew = edit.run(claimed(desk, "blue"), real_model.editor, desk.store, Reporter())
    assert result(desk, second) == result(desk, anew) != result(desk, first)


def test_a_second_attempt_resumes_from_the_inversion(desk: Desk, real_model: ServedModel, shelf: Inversions) -> None:
    class Dying(Reporter):
        def __call__(self, progress: Any) -> None:
            if progress.stage == "edit":
                self.stop(Stop.HANDED_BACK)
            super().__call__(progress)

    claim = claimed(desk, "red")
    with pytest.raises(AttemptEnded):
        edit.run(claim, real_model.editor, desk.store, Dying(), shelf)
    assert run(desk, real_model, shelf, claim).measures.inversion_reused


@pytest.mark.parametrize("damage", [lambda data: data[:1000], lambda data: data[:0], lambda data: data[:-1] + b"\0"])
def test_a_damaged_inversion_is_ignored_and_replaced(
    desk: Desk, real_model: ServedModel, shelf: Inversions, damage: Any
) -> None:
    first = run(desk, real_model, shelf, claimed(desk, "red"))
    (key,) = desk.store.keys(INVERSIONS)
    whole = desk.store.get(key)
    desk.store.put(key, damage(whole), "application/octet-stream")
    again = run(desk, real_model, shelf, claimed(desk, "red"))
    assert not again.measures.inversion_reused
    assert result(desk, again) == result(desk, first)
    assert desk.store.get(key) == whole


def test_a_storage_outage_only_loses_the_inversion(desk: Desk, real_model: ServedModel, shelf: Inversions) -> None:
    nowhere = desk.settings.model_copy(
        update={"storage_url": "s3://nowhere", "s3_endpoint": "http://127.0.0.1:1", "storage_retries": 0}
    )
    lost = replace(shelf, store=ObjectStore.from_settings(nowhere))
    assert run(desk, real_model, lost, claimed(desk, "red")).results


def test_the_cache_key_covers_everything_an_inversion_depends_on(shelf: Inversions) -> None:
    image, mask = Image.new("RGB", (400, 300), "tan"), Image.new("L", (400, 300))
    mask.paste(255, (100, 100, 120, 120))
    elsewhere = image.copy()
    elsewhere.putpixel((0, 299), (0, 0, 0))
    near = image.copy()
    near.putpixel((110, 110), (0, 0, 0))
    moved = Image.new("L", (400, 300))
    moved.paste(255, (380, 280, 390, 290))

    def key(**changes: Any) -> str:
        given: dict[str, Any] = {"tenant": "a", "image": image, "masks": [mask], "source_prompt": "a room"}
        given |= {"config": CONFIG} | changes
        shelf_of = given.pop("shelf", shelf)
        return str(shelf_of.slot(**given).key)

    same = {key(), key(image=elsewhere), key(config=replace(CONFIG, strength=0.5, max_iterations=9, seed=3))}
    assert len(same) == 1
    null_text = replace(CONFIG, inversion="null-text")
    others = [
        key(tenant="b"),
        key(image=near),
        key(masks=[moved]),
        key(source_prompt="a red room"),
        key(config=replace(CONFIG, steps=3)),
        key(config=replace(CONFIG, inversion="ddim")),
        key(config=null_text),
        key(config=replace(null_text, null_text_iterations=3)),
        key(config=replace(null_text, guidance_scale=5.0)),
        key(shelf=replace(shelf, fingerprint="other")),
        key(shelf=replace(shelf, info=shelf.info.model_copy(update={"dtype": "bfloat16"}))),
        *same,
    ]
    assert len(set(others)) == len(others)
    assert key(config=replace(CONFIG, guidance_scale=5.0)) in same


def test_expired_inversions_are_removed(desk: Desk, shelf: Inversions) -> None:
    shelf.store.put(f"{INVERSIONS}local/x.safetensors", b"x", "application/octet-stream")
    assert desk.store.delete_older(INVERSIONS, 60.0) == 0
    assert desk.store.delete_older(INVERSIONS, -1.0) == 1
    assert desk.store.keys(INVERSIONS) == []
