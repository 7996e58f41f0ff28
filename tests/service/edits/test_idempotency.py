"""`Idempotency-Key` over HTTP: one edit per key, whatever is killed on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest
from redis import Redis

from jobs.connection import connect
from jobs.errors import QueueUnavailable
from jobs.queue import JobQueue
from jobs.records.store import Records
from jobs.schema import JobRecord
from jobs.settings import Settings
from jobs.storage import ObjectStore
from jobs.tenants.api_keys import ApiKeys
from service.edits.idempotency import KEY_MAX, parse_key
from service.errors import InvalidIdempotencyKey
from tests.conftest import PATIENCE_S, free_port, listens, wait_until
from tests.jobs.conftest import open_ids
from tests.service.conftest import Announce, Form, WorkerSide, assert_problem, mask, serving
from worker.reaper import Reaper

KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"


ACCEPTED = {
    KEY: KEY,
    f'"{KEY}"': KEY,
    f"  {KEY} ": KEY,
    '"a b"': "a b",
    'a"': 'a"',
    r'"a\"\\b"': r'a"\b',
    "x" * KEY_MAX: "x" * KEY_MAX,
}


@pytest.mark.parametrize("text", ACCEPTED)
def test_key_may_be_quoted_or_bare(text: str) -> None:
    assert parse_key([text]) == ACCEPTED[text]


@pytest.mark.parametrize("text", ["", '""', "a b", '"a', '"a"b"', '"a\\b"', "é", "x" * (KEY_MAX + 1), '"a";b=c'])
def test_malformed_keys_are_rejected(text: str) -> None:
    with pytest.raises(InvalidIdempotencyKey, match="printable ASCII"):
        parse_key([text])


def test_two_keys_are_refused() -> None:
    with pytest.raises(InvalidIdempotencyKey, match="2 Idempotency-Key headers"):
        parse_key(["a", "b"])


def send(client: httpx.Client, form: Form, key: str = KEY) -> httpx.Response:
    """Submit with a key."""
    client.headers["Idempotency-Key"] = key
    try:
        return form.send(client)
    finally:
        del client.headers["Idempotency-Key"]


def listed(client: httpx.Client) -> list[str]:
    """The ids of the tenant's edits."""
    return [edit["id"] for edit in client.get("/v1/edits").json()["edits"]]


def test_same_request_returns_the_same_edit(client: httpx.Client, form: Form, worker_side: WorkerSide) -> None:
    first = send(client, form)
    assert first.status_code == 202
    assert "idempotent-replayed" not in first.headers
    again = send(client, form, f'"{KEY}"')
    assert (again.status_code, again.headers["idempotent-replayed"]) == (202, "true")
    assert again.headers["location"] == first.headers["location"]
    assert again.json()["id"] == first.json()["id"]
    worker_side.succeed(worker_side.claim(first.json()["id"]))
    done = send(client, form)
    assert (done.status_code, done.json()["state"]) == (202, "succeeded")
    assert listed(client) == [first.json()["id"]]
    assert len(worker_side.store.keys("local/")) == 4  # its image, mask, result and artifact, and no second copy
    assert form.send(client).json()["id"] != first.json()["id"]


def test_the_fingerprint_depends_only_on_the_payload(client: httpx.Client, form: Form) -> None:
    form.data |= {"steps": "7", "words": ["purple", "room"]}
    first = send(client, form).json()["id"]
    form.data = dict(reversed(form.data.items()))
    form.files = list(reversed(form.files))
    assert send(client, form).json()["id"] == first


def test_same_key_with_another_payload_is_422(client: httpx.Client, form: Form) -> None:
    edit_id = send(client, form).json()["id"]
    for change in ({"steps": "7"}, {"words": ["purple"]}, {"seed": "1"}):
        other = Form(files=form.files, data=form.data | change)
        assert_problem(send(client, other), 422, "idempotency_key_reused", "Idempotency-Key")
    other = Form(files=[form.files[0], ("mask", mask(box=(1, 1, 5, 5)))], data=form.data)
    assert_problem(send(client, other), 422, "idempotency_key_reused", "Idempotency-Key")
    assert listed(client) == [edit_id]


def test_mask_order_is_part_of_the_fingerprint(client: httpx.Client, form: Form) -> None:
    form.files.append(("mask", mask(box=(40, 10, 60, 40))))
    form.data["regions"] = '[{"words": ["purple"]}, {"words": ["room"]}]'
    send(client, form)
    form.files[1], form.files[2] = form.files[2], form.files[1]
    assert_problem(send(client, form), 422, "idempotency_key_reused", "Idempotency-Key")


def test_rejected_request_releases_its_key(client: httpx.Client, form: Form) -> None:
    good = form.files[1]
    form.files[1] = ("mask", mask(box=None))
    for _ in range(2):
        assert_problem(send(client, form), 422, "mask_empty", "mask")
    form.files[1] = good
    assert send(client, form).status_code == 202


def test_a_wrong_key_is_400(client: httpx.Client, form: Form) -> None:
    assert_problem(send(client, form, '"a'), 400, "invalid_idempotency_key", "Idempotency-Key")
    assert listed(client) == []


def test_a_deleted_edit_is_not_made_again(client: httpx.Client, form: Form) -> None:
    client.delete(send(client, form).headers["location"])
    assert_problem(send(client, form), 410, "expired")
    assert listed(client) == []


def test_a_repetition_needs_no_worker(client: httpx.Client, form: Form, announce: Announce) -> None:
    first = send(client, form)
    announce(ttl_s=-1)
    assert send(client, form).json()["id"] == first.json()["id"]
    assert_problem(form.send(client), 503, "no_worker", "model")


def test_tenants_have_their_own_keys(settings: Settings, announce: Announce, form: Form) -> None:
    announce()
    with Redis.from_url(settings.redis_url) as redis, serving(settings.model_copy(update={"auth": "keys"})) as client:
        ids = []
        for tenant in ("acme", "other"):
            client.headers["Authorization"] = f"Bearer {ApiKeys(redis).create(tenant)[1]}"
            ids.append(send(client, form).json()["id"])
    assert len(set(ids)) == 2


def test_concurrent_requests_create_one_edit(client: httpx.Client, form: Form, worker_side: WorkerSide) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: httpx.post(
            f"{client.base_url}/v1/edits", files=form.files, data=form.data, headers={"Idempotency-Key": KEY}
        ), range(6)))  # fmt: skip
    accepted = [answer for answer in answers if answer.status_code == 202]
    for answer in answers:
        if answer not in accepted:
            assert_problem(answer, 409, "idempotency_key_in_use", "Idempotency-Key")
            assert int(answer.headers["retry-after"]) >= 1
    assert accepted
    (edit_id,) = {answer.json()["id"] for answer in accepted}
    assert open_ids(worker_side.records) == {edit_id} == worker_side.queue.waiting("demo")


@pytest.fixture
def short(settings: Settings) -> Settings:
    """A lease that ends soon."""
    return settings.model_copy(update={"idempotency_lease_s": 0.5, "reaper_grace_s": 0.0})


def repeat(client: httpx.Client, form: Form) -> httpx.Response:
    """Send again for as long as the service says that the first request is under way."""
    answers: list[httpx.Response] = []

    def settled() -> bool:
        answers.append(send(client, form))
        return answers[-1].status_code != 409

    wait_until(settled)
    return answers[-1]


@pytest.mark.parametrize("made", [True, False], ids=["answer lost", "command lost"])
def test_redis_away_while_the_record_is_made(
    made: bool, short: Settings, announce: Announce, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce()
    create = Records.create

    def away(*args: Any, **options: Any) -> None:
        if made:
            create(*args, **options)
        raise QueueUnavailable("away")

    with serving(short) as client:
        with monkeypatch.context() as patch:
            patch.setattr(Records, "create", away)
            assert_problem(send(client, form), 503, "queue_unavailable")
        answer = repeat(client, form)
        assert answer.status_code == 202
        assert ("idempotent-replayed" in answer.headers) is made
        assert listed(client) == [answer.json()["id"]]


DEATHS = {
    "reserved": ("IdempotencyKeys.reserve", "after"),
    "some inputs": ("ObjectStore.put", "after"),
    "all inputs": ("Records.create", "before"),
    "record": ("Records.create", "after"),
    "in line": ("JobQueue.enqueue", "after"),
}


@pytest.fixture
def doomed(short: Settings) -> Iterator[dict[str, int]]:
    """The port of a front end for each death."""
    ports = {name: free_port() for name in DEATHS}
    environment = os.environ | {
        "MAGEDIT_REDIS_URL": short.redis_url,
        "MAGEDIT_STATE_DIR": str(short.state_dir),
        "MAGEDIT_IDEMPOTENCY_LEASE_S": str(short.idempotency_lease_s),
    }
    arguments = [word for name, death in DEATHS.items() for word in (str(ports[name]), *death)]
    command = [sys.executable, "-m", "tests.service.edits.dying", *arguments]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            wait_until(lambda: process.poll() is not None or all(listens(port) for port in ports.values()))
            yield ports
            # All have died, or it waits in vain.
            process.wait(PATIENCE_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def survivor(short: Settings, announce: Announce) -> Iterator[httpx.Client]:
    """Another front end of the same service."""
    announce()
    with serving(short) as client:
        yield client


def test_killed_front_ends_create_no_duplicates(
    doomed: dict[str, int], survivor: httpx.Client, form: Form, short: Settings
) -> None:
    made: set[str] = set()
    for number, (death, port) in enumerate(doomed.items()):
        form.data["seed"] = str(number)
        key = {"Idempotency-Key": f"key-{number}"}
        with pytest.raises(httpx.TransportError):
            httpx.post(f"http://127.0.0.1:{port}/v1/edits", files=form.files, data=form.data, headers=key, timeout=None)
        recorded = set(listed(survivor)) - made
        assert len(recorded) == (1 if death in {"record", "in line"} else 0), death
        # Some callers repeat at once and together, and one later.
        with ThreadPoolExecutor(3) as pool:
            answers = pool.map(post, [survivor] * 3, [form] * 3, [key] * 3)
            ids = {answer.json()["id"] for answer in answers}
        later = post(survivor, form, key)
        assert (later.status_code, later.headers["idempotent-replayed"]) == (202, "true")
        assert ids == {later.json()["id"]} == set(listed(survivor)) - made, death
        assert recorded <= ids
        made |= ids
    with connect(short) as redis:
        records, store = Records(redis, short), ObjectStore.from_settings(short)
        # What was accepted has its inputs, and is in line at the latest when the reaper has come by.
        Reaper(redis, store, short).sweep()
        for record in records.list("local").records:
            assert isinstance(record, JobRecord)
            assert all(store.size(key) for key in (record.image, *record.masks))
        assert JobQueue(redis, records).waiting("demo") == made


def post(client: httpx.Client, form: Form, key: dict[str, str]) -> httpx.Response:
    """Send for as long as the service says that the first request is under way, on a connection of its own."""
    while True:
        answer = httpx.post(f"{client.base_url}/v1/edits", files=form.files, data=form.data, headers=key, timeout=None)
        if answer.status_code != 409:
            return answer
