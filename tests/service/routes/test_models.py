"""What can be asked for."""

from __future__ import annotations

import httpx

from tests.service.conftest import Announce, Form, WorkerSide


def test_models_list_workers_and_queue_lengths(
    client: httpx.Client, form: Form, announce: Announce, worker_side: WorkerSide
) -> None:
    announce(name="sd14", ttl_s=-1, vocabulary=None)
    worker_side.models.keep_pace("demo", 0.25)
    form.send(client)
    body = client.get("/v1/models").json()
    assert body["default"] == "demo"
    by_name = {model["name"]: model for model in body["models"]}
    demo, sd14 = by_name["demo"], by_name["sd14"]
    assert (demo["ready"], demo["workers"], demo["queued"], demo["step_seconds"]) == (True, 1, 1, 0.25)
    assert (sd14["ready"], sd14["workers"], sd14["vocabulary"]) == (False, 0, None)
    assert demo["max_prompt_tokens"] == 12


def test_empty_list_without_models(shared_client: httpx.Client, redis_url: str) -> None:
    assert redis_url
    assert shared_client.get("/v1/models").json() == {
        "object": "list",
        "data": [],
        "default": "demo",
        "models": [],
    }
