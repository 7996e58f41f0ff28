"""Edits for a model that no worker serves."""

from __future__ import annotations

import httpx

from jobs.connection import connect
from jobs.models import Models
from jobs.settings import Settings
from tests.service.conftest import Announce, Form, WorkerSide, assert_problem, model_info, tokenizer_json


def test_declared_model_accepts_edits_without_a_worker(
    shared_client: httpx.Client, settings: Settings, form: Form, announce: Announce, worker_side: WorkerSide
) -> None:
    with connect(settings) as redis:
        Models(redis).declare(model_info(), tokenizer_json())
    (model,) = shared_client.get("/v1/models").json()["models"]
    assert (model["declared"], model["ready"], model["workers"]) == (True, False, 0)
    answer = form.send(shared_client)
    assert answer.status_code == 202, answer.text
    edit = answer.json()
    assert (edit["state"], edit["waiting_for"], edit["eta_s"], edit["queue_position"]) == ("queued", "worker", None, 0)
    assert shared_client.get("/v1/models").json()["models"][0]["queued"] == 1
    announce()
    assert shared_client.get(edit["links"]["self"]).json()["waiting_for"] is None
    worker_side.succeed(worker_side.claim(edit["id"]))
    done = shared_client.get(edit["links"]["self"]).json()
    assert (done["state"], done["waiting_for"]) == ("succeeded", None)


def test_undeclared_model_rejects_edits_without_a_worker(
    shared_client: httpx.Client, form: Form, announce: Announce, settings: Settings
) -> None:
    assert settings
    announce(ttl_s=-1)
    assert_problem(form.send(shared_client), 503, "no_worker", "model")
