"""Edits without a mask through `POST /v1/images/edits`."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from PIL import Image

from jobs.settings import Settings
from magedit.errors import NothingFound
from service.app import create_app
from tests.conftest import wait_until
from tests.service.conftest import Announce, WorkerSide, picture, serving
from tests.service.openai.calls import PATH, PROMPTS, assert_refused
from tests.service.routes.test_masks import find
from worker.problems import problem_of


def send_unmasked(client: httpx.Client, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    files = [("image", ("room.png", picture(), "image/png"))]
    return client.post(PATH, files=files, data={**PROMPTS, **fields}, headers=headers)


@pytest.fixture
def finding(client: httpx.Client, announce: Announce) -> Iterator[Callable[[Callable[[str], object]], None]]:
    """Lets a worker of a model that finds things by words do something with the next mask that is asked for."""
    announce(finds_by=("words",))
    with ThreadPoolExecutor(1) as pool:
        works: list[Future[None]] = []

        def start(work: Callable[[str], object]) -> None:
            def run() -> None:
                wait_until(lambda: bool(client.get("/v1/masks?state=queued").json()["masks"]))
                (mask,) = client.get("/v1/masks?state=queued").json()["masks"]
                work(mask["id"])

            works.append(pool.submit(run))

        yield start
        for each in works:
            each.result()


def test_without_a_mask_the_changed_thing_is_located(
    client: httpx.Client, settings: Settings, finding: Any, working: Any, worker_side: WorkerSide
) -> None:
    masks: list[bytes] = []

    def edit(claim: Any) -> None:
        masks.append(worker_side.store.get(claim.masks[0]))
        worker_side.succeed(claim)

    finding(lambda mask_id: find(settings, mask_id, (10, 10, 30, 20)))
    working(edit)
    answer = send_unmasked(client, {"Idempotency-Key": "one"})
    assert answer.status_code == 200, answer.text
    found = client.get(f"/v1/masks/{answer.headers['mask-id']}").json()
    assert found["request"]["words"] == "a green carpet"
    with Image.open(io.BytesIO(masks[0])) as kept:
        assert kept.getbbox() == (10, 10, 30, 20)
    # Repeated, it is the same mask and the same edit, also when the mask is gone.
    for masks_kept in (1, 0):
        again = send_unmasked(client, {"Idempotency-Key": "one"})
        assert again.headers["idempotent-replayed"] == "true"
        assert again.content == answer.content
        assert [again.headers[name] for name in ("mask-id", "edit-id")] == [
            answer.headers[name] for name in ("mask-id", "edit-id")
        ]
        assert len(client.get("/v1/masks").json()["masks"]) == masks_kept
        client.delete(f"/v1/masks/{answer.headers['mask-id']}")
    reused = send_unmasked(client, {"Idempotency-Key": "one"}, seed="7")
    assert_refused(reused, 400, "idempotency_key_reused", "Idempotency-Key")


def test_instruction_replaces_prompt_and_mask(
    client: httpx.Client, announce: Announce, working: Any, worker_side: WorkerSide
) -> None:
    announce(finds_by=("words",), methods=("mag-edit", "blended-latent"))
    working(worker_side.succeed)
    answer = send_unmasked(client, source_prompt="", prompt="", instruction="make the carpet purple")
    assert answer.status_code == 200, answer.text
    request = client.get(answer.headers["location"]).json()["request"]
    assert (request["source_prompt"], request["target_prompt"]) == ("a carpet", "a purple carpet")
    assert request["config"]["method"] == "mag-edit"
    assert client.get("/v1/masks").json()["masks"] == []


def test_a_mask_that_is_not_found_is_reported(client: httpx.Client, worker_side: WorkerSide, finding: Any) -> None:
    def nothing(mask_id: str) -> None:
        claim = worker_side.records.claim(mask_id, "worker-1")
        assert claim is not None
        worker_side.records.commit_failure(claim, problem_of(NothingFound("no place in the picture matches 'carpet'")))

    finding(nothing)
    error = assert_refused(send_unmasked(client), 400, "nothing_found", "mask")
    assert "'a green carpet' was searched for" in error["message"]
    assert client.get("/v1/edits").json()["edits"] == []


def test_a_mask_that_takes_too_long_is_named(settings: Settings, announce: Announce) -> None:
    announce(finds_by=("words",))
    impatient = settings.model_copy(update={"images_wait_s": 0})
    with serving(impatient, app=create_app(impatient)) as client:
        answer = send_unmasked(client)
        error = assert_refused(answer, 504, "not_finished_in_time")
        assert client.get(f"/v1/masks/{answer.headers['mask-id']}").json()["state"] == "queued"
        assert answer.headers["mask-id"] in error["message"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"source_prompt": "a room"}, "is not in the picture yet"),
        (
            {"source_prompt": "a purple room with a green carpet", "prompt": "a green room with a purple carpet"},
            "2 things",
        ),
        ({"source_prompt": "", "method": "blended-latent"}, "do not show what changes"),
    ],
)
def test_prompts_that_name_nothing_to_locate_need_a_mask(
    client: httpx.Client, announce: Announce, fields: dict[str, Any], told: str
) -> None:
    announce(finds_by=("words",), methods=("mag-edit", "blended-latent"))
    error = assert_refused(send_unmasked(client, **fields), 400, "invalid_request", "mask")
    assert told in error["message"]


def test_an_invalid_edit_starts_no_search(client: httpx.Client, announce: Announce) -> None:
    announce(finds_by=("words",))
    assert_refused(send_unmasked(client, words="zeppelin"), 400, "word_not_in_target_prompt", "words")
    assert client.get("/v1/masks").json()["masks"] == []


def test_a_model_without_search_by_words_needs_a_mask(client: httpx.Client) -> None:
    error = assert_refused(send_unmasked(client), 400, "invalid_request", "mask")
    assert "cannot locate things by words" in error["message"]
