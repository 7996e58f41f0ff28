from __future__ import annotations

import httpx
import pytest

from jobs.webhooks.deliveries import Deliveries, DeliveryVerdict
from tests.service.conftest import Form, WorkerSide, assert_problem

URL = "https://example.com/hook"


def test_webhook_is_delivered_after_submission(client: httpx.Client, form: Form, worker_side: WorkerSide) -> None:
    form.data["webhook_url"] = URL
    edit = form.send(client).json()
    assert edit["webhook_url"] == URL
    path = f"/v1/edits/{edit['id']}/webhook"
    waiting = client.get(path).json()
    assert waiting == {
        "url": URL,
        "message_id": f"msg_{edit['id']}",
        "state": "waiting",
        "next_at": None,
        "attempts": [],
    }
    worker_side.succeed(worker_side.claim(edit["id"]))
    pending = client.get(path)
    assert pending.json()["state"] == "pending"
    assert pending.json()["next_at"]
    assert client.get(path, headers={"If-None-Match": pending.headers["etag"]}).status_code == 304
    deliveries = Deliveries(worker_side.records.redis)
    (taken,) = deliveries.claim(1)
    deliveries.report(taken, DeliveryVerdict.DELIVERED, seconds=0.5, status=200)
    delivered = client.get(path).json()
    assert (delivered["state"], delivered["next_at"]) == ("delivered", None)
    (attempt,) = delivered["attempts"]
    assert (attempt["number"], attempt["status"], attempt["seconds"], attempt["error"]) == (1, 200, 0.5, None)


def test_edit_without_a_webhook_delivers_nothing(client: httpx.Client, form: Form) -> None:
    edit = form.send(client).json()
    assert edit["webhook_url"] is None
    assert_problem(client.get(f"/v1/edits/{edit['id']}/webhook"), 404, "no_webhook")


@pytest.mark.parametrize("url", ["http://example.com/", "https://127.0.0.1/", "https://a b/", "nonsense"])
def test_refused_addresses(url: str, client: httpx.Client, form: Form) -> None:
    form.data["webhook_url"] = url
    assert_problem(form.send(client), 422, "webhook_refused", "webhook_url")
