"""A worker that answers calls of `POST /v1/images/edits`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.conftest import wait_until
from tests.service.conftest import WorkerSide


@pytest.fixture
def working(client: httpx.Client, worker_side: WorkerSide) -> Iterator[Callable[[Callable[[Any], None]], None]]:
    """Lets a worker do something with the next edit that is submitted."""
    threads: list[threading.Thread] = []

    def start(work: Callable[[Any], None]) -> None:
        def run() -> None:
            wait_until(lambda: bool(client.get("/v1/edits?state=queued").json()["edits"]))
            (edit,) = client.get("/v1/edits?state=queued").json()["edits"]
            work(worker_side.claim(edit["id"]))

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()
