"""Views of records with their place in line."""

from __future__ import annotations

import httpx

from service.backend import Backend
from service.edits.representation import view_of, views_of
from tests.conftest import free_port
from tests.service.conftest import Form, WorkerSide


def test_unfinished_edits_have_a_position_and_finished_ones_need_no_redis(
    client: httpx.Client, form: Form, worker_side: WorkerSide
) -> None:
    backend = Backend.open(worker_side.settings)
    ids = [form.send(client).json()["id"] for _ in range(2)]
    views = views_of(backend.records.get_many(ids), backend)
    assert [(view.id, view.queue_position) for view in views] == [(ids[0], 0), (ids[1], 1)]
    worker_side.succeed(worker_side.claim(ids[0]))
    done = backend.records.require(ids[0], "local")
    backend.close()
    nowhere = {"redis_url": f"redis://127.0.0.1:{free_port()}", "redis_retries": 0}
    away = Backend.open(worker_side.settings.model_copy(update=nowhere))
    assert view_of(done, away).state == "succeeded"
