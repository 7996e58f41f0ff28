"""The client against the real front end."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobs.connection import connect
from jobs.settings import Settings
from jobs.tenants.api_keys import ApiKeys
from magedit.client import Client, DamagedFile, Edit, EditNotSucceeded, Preview, ServiceError
from tests.conftest import PATIENCE_S, free_port
from tests.service.conftest import WorkerSide, mask, picture, serving

PROMPTS: dict[str, Any] = {
    "source_prompt": "a room with a green carpet",
    "target_prompt": "a room with a purple carpet",
}


@pytest.fixture
def service(client: httpx.Client) -> Client:
    return Client(str(client.base_url))


def test_previews_come_with_the_stream(service: Client, worker_side: WorkerSide) -> None:
    seen: list[Preview] = []
    with service:
        edit = service.submit(picture(), [mask()], **PROMPTS)
        assert service.preview(edit.id) is None
        claim = worker_side.claim(edit.id)
        worker_side.show(claim, 3)
        for each in service.stream(edit.id, on_preview=seen.append):
            if seen and not each.finished:
                assert service.preview(edit.id) == seen[0]
                worker_side.succeed(claim)
            elif not each.finished:
                # Something new to be told, after the preview.
                worker_side.progress(claim, 0.5)
        with pytest.raises(ServiceError):
            service.preview("0" * 32)
    assert seen == [Preview(image=picture((8, 8)), content_type="image/jpeg", result=0, step=3, steps=10)]


def test_submit_watch_fetch(service: Client, worker_side: WorkerSide) -> None:
    with service:
        edit = service.submit(
            picture(), [mask()], **PROMPTS, steps=8, equalizer={"purple": 2.0}, artifacts=["attention"]
        )
        assert (edit.state, edit.queue_position, edit.finished) == ("queued", 0, False)
        seen: list[Edit] = []
        looked = threading.Event()

        def work() -> None:
            looked.wait(PATIENCE_S)
            claim = worker_side.claim(edit.id)
            worker_side.progress(claim, 0.5)
            worker_side.succeed(claim)

        def look(each: Edit) -> None:
            seen.append(each)
            looked.set()

        worker = threading.Thread(target=work)
        worker.start()
        done = service.wait(edit.id, look)
        worker.join()
        assert (seen[0].state, seen[-1].state) == ("queued", "succeeded")
        assert done.measures is not None
        assert done.measures.after[0].token == 0.5
        assert service.result(edit.id) == picture()
        assert service.artifact(edit.id, done.artifacts[0].name) == picture((8, 8))
        record = worker_side.records.require(edit.id, "local")
        assert (record.request.config.steps, record.request.config.equalizer) == (8, {"purple": 2.0})


def test_files_and_regions(service: Client, tmp_path: Path) -> None:
    for name, content in (("image", picture()), ("one", mask()), ("two", mask(box=(40, 10, 60, 40)))):
        (tmp_path / name).write_bytes(content)
    with service:
        edit = service.submit(
            tmp_path / "image",
            [tmp_path / "one", str(tmp_path / "two")],
            **PROMPTS,
            regions=[{"words": ["purple"]}, {"words": ["room"]}],
            model=None,
        )
        assert service.get(edit.id).state == "queued"


def test_a_refusal_carries_the_problem(service: Client) -> None:
    with service, pytest.raises(ServiceError, match="40x30") as caught:
        service.submit(picture(), [mask((40, 30), (1, 1, 9, 9))], **PROMPTS)
    assert caught.value.problem.code == "mask_size_mismatch"
    assert [error.field for error in caught.value.problem.errors] == ["mask"]


def test_cancel_delete_list(service: Client) -> None:
    with service:
        ids = [service.submit(picture(), [mask()], **PROMPTS).id for _ in range(3)]
        assert service.cancel(ids[0]).state == "canceled"
        assert [edit.id for edit in service.list(state="canceled").edits] == [ids[0]]
        page = service.list(limit=2)
        assert [edit.id for edit in page.edits] == [ids[2], ids[1]]
        assert [edit.id for edit in service.list(cursor=page.next_cursor).edits] == [ids[0]]
        service.delete(ids[1])
        with pytest.raises(ServiceError) as caught:
            service.get(ids[1])
        assert caught.value.problem.status == 404
        assert [(model.name, model.ready) for model in service.models()] == [("demo", True)]


def test_connection_refused() -> None:
    with Client(f"http://127.0.0.1:{free_port()}") as nobody, pytest.raises(httpx.ConnectError):
        nobody.models()


def test_the_client_can_be_imported_alone(tmp_path: Path) -> None:
    source = Path(__file__).parents[3] / "magedit" / "client"
    shutil.copytree(source, tmp_path / "copied", ignore=shutil.ignore_patterns("__pycache__"))
    code = "import sys, copied\nassert not {'jobs', 'service', 'magedit', 'cli', 'redis'} & set(sys.modules)"
    subprocess.run(
        [sys.executable, "-W", "error", "-P", "-c", f"import sys; sys.path.insert(0, '.'); {code}"],
        check=True,
        cwd=tmp_path,
    )


def test_a_key_is_sent_where_one_is_asked_for(settings: Settings) -> None:
    with connect(settings) as redis, serving(settings.model_copy(update={"auth": "keys"})) as http:
        _, key = ApiKeys(redis).create("acme")
        with Client(str(http.base_url), key=key) as client:
            assert client.list().edits == ()
        with Client(str(http.base_url)) as client, pytest.raises(ServiceError) as refused:
            client.list()
        assert refused.value.problem.code == "not_authenticated"


def test_submit_can_be_repeated_and_can_wait(service: Client, worker_side: WorkerSide) -> None:
    with service:
        first = service.submit(picture(), [mask()], **PROMPTS, idempotency_key="one")
        assert service.submit(picture(), [mask()], **PROMPTS, idempotency_key="one").id == first.id
        worker_side.succeed(worker_side.claim(first.id))
        assert service.submit(picture(), [mask()], **PROMPTS, idempotency_key="one", wait_s=1).finished
        assert service.submit(picture(), [mask()], **PROMPTS, wait_s=1).state == "queued"


def test_stream_and_download(service: Client, worker_side: WorkerSide, tmp_path: Path) -> None:
    with service:
        seen: list[Edit] = []
        for each in service.stream(service.submit(picture(), [mask()], **PROMPTS).id):
            seen.append(each)
            if len(seen) == 1:
                claim = worker_side.claim(each.id)
                worker_side.progress(claim, 0.5)
            elif each.progress and not each.finished:
                worker_side.succeed(claim)
        assert (seen[0].state, seen[-1].state) == ("queued", "succeeded")
        assert any(each.state == "running" and each.progress and each.progress.fraction == 0.5 for each in seen)
        assert service.get(seen[-1].id) == seen[-1]
        assert service.download(seen[-1], tmp_path / "out.png").read_bytes() == picture()
        damaged = seen[-1].model_copy(
            update={"results": (seen[-1].results[0].model_copy(update={"sha256": "0" * 64}),)}
        )
        with pytest.raises(DamagedFile, match="damaged"):
            service.download(damaged, tmp_path / "no.png")
    assert [each.name for each in tmp_path.iterdir()] == ["out.png"]


def test_waiting_has_an_end(service: Client) -> None:
    with service:
        edit = service.submit(picture(), [mask()], **PROMPTS)
        with pytest.raises(TimeoutError, match=rf"edit {edit.id} has not finished within 0\.3 s; it is still running"):
            service.wait(edit.id, timeout_s=0.3)
        assert service.get(edit.id).state == "queued"


def test_waiting_ends_though_the_service_does_not_answer(service: Client) -> None:
    with service, socket.create_server(("127.0.0.1", 0)) as silent:
        edit = service.submit(picture(), [mask()], **PROMPTS)
        with (
            Client(f"http://127.0.0.1:{silent.getsockname()[1]}") as waiting,
            pytest.raises(TimeoutError, match="has not finished within"),
        ):
            waiting.wait(edit.id, timeout_s=0.3)


def test_a_failure_is_raised_if_asked_for(service: Client, worker_side: WorkerSide) -> None:
    with service:
        edit = service.submit(picture(), [mask()], **PROMPTS)
        worker_side.fail(worker_side.claim(edit.id))
        assert service.wait(edit.id).state == "failed"
        with pytest.raises(EditNotSucceeded, match=f"edit {edit.id} is failed: Diverged: the latent") as caught:
            service.wait(edit.id, raise_on_failure=True)
        assert caught.value.edit == service.get(edit.id)


def test_an_edit_that_succeeded_in_time_is_returned(service: Client, worker_side: WorkerSide) -> None:
    with service:
        edit = service.submit(picture(), [mask()], **PROMPTS)
        worker_side.succeed(worker_side.claim(edit.id))
        assert service.wait(edit.id, timeout_s=60, raise_on_failure=True).state == "succeeded"
