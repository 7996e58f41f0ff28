"""The asyncio client against the real front end, and against one that fails."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from magedit.client import AsyncClient, DamagedFile, Edit, EditNotSucceeded, Preview, ServiceError
from tests.conftest import free_port
from tests.jobs.conftest import open_ids
from tests.service.conftest import WorkerSide, mask, picture

PROMPTS: dict[str, Any] = {
    "source_prompt": "a room with a green carpet",
    "target_prompt": "a room with a purple carpet",
}


def test_submit_stream_download(client: httpx.Client, worker_side: WorkerSide, tmp_path: Path) -> None:
    async def follow() -> list[Edit]:
        async with AsyncClient(str(client.base_url)) as service:
            edit = await service.submit(picture(), [mask()], **PROMPTS)
            seen = []
            async for each in service.stream(edit.id):
                seen.append(each)
                if len(seen) == 1:
                    claim = await asyncio.to_thread(worker_side.claim, edit.id)
                    await asyncio.to_thread(worker_side.progress, claim, 0.5)
                elif each.progress and not each.finished:
                    await asyncio.to_thread(worker_side.succeed, claim)
            assert await service.wait(edit.id) == seen[-1]
            saved = await service.download(seen[-1], tmp_path / "out.png")
            assert saved.read_bytes() == picture()
            assert await service.artifact(edit.id, seen[-1].artifacts[0].name) == picture((8, 8))
            damaged = seen[-1].model_copy(
                update={"results": (seen[-1].results[0].model_copy(update={"sha256": "0" * 64}),)}
            )
            with pytest.raises(DamagedFile, match="damaged"):
                await service.download(damaged, tmp_path / "no.png")
            return seen

    seen = asyncio.run(follow())
    assert [each.name for each in tmp_path.iterdir()] == ["out.png"]
    assert (seen[0].state, seen[-1].state) == ("queued", "succeeded")
    assert any(each.state == "running" and each.progress and each.progress.fraction == 0.5 for each in seen)


def test_previews_come_with_the_stream(client: httpx.Client, worker_side: WorkerSide) -> None:
    async def follow() -> list[Preview]:
        seen: list[Preview] = []
        async with AsyncClient(str(client.base_url)) as service:
            edit = await service.submit(picture(), [mask()], **PROMPTS)
            assert await service.preview(edit.id) is None
            claim = await asyncio.to_thread(worker_side.claim, edit.id)
            await asyncio.to_thread(worker_side.show, claim, 3)
            async for each in service.stream(edit.id, on_preview=seen.append):
                if seen and not each.finished:
                    assert await service.preview(edit.id) == seen[0]
                    await asyncio.to_thread(worker_side.succeed, claim)
                elif not each.finished:
                    # Something new to be told, after the preview.
                    await asyncio.to_thread(worker_side.progress, claim, 0.5)
            assert await service.preview(edit.id) is None
        return seen

    (shown,) = asyncio.run(follow())
    assert shown == Preview(image=picture((8, 8)), content_type="image/jpeg", result=0, step=3, steps=10)


def test_cancel_list_delete(client: httpx.Client) -> None:
    async def use() -> None:
        async with AsyncClient(str(client.base_url)) as service:
            first, second = await asyncio.gather(
                *(service.submit(picture(), [mask()], **PROMPTS, idempotency_key=key) for key in ("a", "b"))
            )
            assert (await service.submit(picture(), [mask()], **PROMPTS, idempotency_key="a")).id == first.id
            assert (await service.cancel(first.id)).state == "canceled"
            assert (await service.wait(first.id)).finished
            assert [each.id for each in (await service.list(state="canceled")).edits] == [first.id]
            assert [each.name for each in await service.models()] == ["demo"]
            await service.delete(second.id)
            with pytest.raises(ServiceError) as caught:
                await service.wait(second.id)
            assert caught.value.problem.status == 404

    asyncio.run(use())


def test_a_deleted_edit_ends_its_stream(client: httpx.Client) -> None:
    async def use() -> None:
        async with AsyncClient(str(client.base_url)) as service:
            edit = await service.submit(picture(), [mask()], **PROMPTS)
            stream = service.stream(edit.id)
            assert (await anext(stream)).state == "queued"
            await service.delete(edit.id)
            with pytest.raises(ServiceError) as caught:
                await anext(stream)
            assert caught.value.problem.code == "not_found"

    asyncio.run(use())


@contextmanager
def breaking(port: int) -> Iterator[tuple[str, list[bool]]]:
    """A way to ``port`` that breaks off each second connection: the first answer is lost when all was carried out."""
    listener = socket.create_server(("127.0.0.1", 0))
    lost: list[bool] = []

    def serve() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=pass_on, args=(near,), daemon=True).start()

    def pass_on(near: socket.socket) -> None:
        loses = len(lost) % 2 == 0
        lost.append(loses)
        with near, socket.create_connection(("127.0.0.1", port)) as far:
            back = threading.Thread(target=pump, args=(far, near, loses), daemon=True)
            back.start()
            pump(near, far, False)
            back.join(10)

    def pump(source: socket.socket, sink: socket.socket, swallow: bool) -> None:
        try:
            while data := source.recv(65536):
                if swallow:
                    # Answered, and nobody hears it.
                    sink.shutdown(socket.SHUT_RDWR)
                    return
                sink.sendall(data)
        except OSError:
            pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", lost
    finally:
        # A blocked accept does not notice that its socket is closed.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def test_lost_answers_make_no_second_edit(client: httpx.Client, worker_side: WorkerSide) -> None:
    async def use(url: str) -> list[str]:
        async with AsyncClient(url) as service:
            return [(await service.submit(picture(), [mask()], **PROMPTS)).id]

    with breaking(client.base_url.port or 0) as (url, lost):
        ids = asyncio.run(use(url))
    assert lost[:2] == [True, False]
    assert open_ids(worker_side.records) == set(ids)


def test_connection_refused() -> None:
    async def use() -> None:
        async with AsyncClient(f"http://127.0.0.1:{free_port()}", retries=1) as nobody:
            await nobody.models()

    with pytest.raises(httpx.ConnectError):
        asyncio.run(use())


def test_waiting_has_an_end_and_raises_a_failure_if_asked_for(client: httpx.Client, worker_side: WorkerSide) -> None:
    async def use() -> None:
        async with AsyncClient(str(client.base_url)) as service:
            edit = await service.submit(picture(), [mask()], **PROMPTS)
            with pytest.raises(
                TimeoutError,
                match=rf"edit {edit.id} has not finished within 0\.3 s; it is still "
                rf"running",
            ):
                await service.wait(edit.id, timeout_s=0.3)
            await asyncio.to_thread(lambda: worker_side.fail(worker_side.claim(edit.id)))
            assert (await service.wait(edit.id, timeout_s=60)).state == "failed"
            with pytest.raises(EditNotSucceeded, match=f"edit {edit.id} is failed: Diverged") as caught:
                await service.wait(edit.id, raise_on_failure=True)
            assert caught.value.edit == await service.get(edit.id)

    asyncio.run(use())
