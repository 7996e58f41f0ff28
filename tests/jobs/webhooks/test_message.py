from __future__ import annotations

import time

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from jobs.errors import WebhookRefused
from jobs.schema import Problem, State, StoredObject
from jobs.webhooks.message import check_url, event_of, message_id, new_secret, signed_headers
from tests.jobs.conftest import Desk


def test_signatures_are_those_of_the_standard() -> None:
    old, new, other = new_secret(), new_secret(), new_secret()
    body = b'{"type":"edit.succeeded"}'
    headers = signed_headers((new, old), "msg_1", int(time.time()), body)
    for secret in (old, new):
        assert Webhook(secret).verify(body, headers) == {"type": "edit.succeeded"}
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new).verify(body + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new).verify(body, {**headers, "webhook-id": "msg_2"})


def test_event_is_deterministic(desk: Desk) -> None:
    record = desk.cancel()
    event = event_of(record)
    assert event == event_of(desk.get(record))
    assert (event.type, event.data.id, event.data.state) == ("edit.canceled", record.id, State.CANCELED)
    assert message_id(record.id) == f"msg_{record.id}"


def test_the_event_names_results_and_problem_and_nothing_internal(desk: Desk) -> None:
    stored = StoredObject(name="result-0.png", key="local/secret/key", content_type="image/png", size=3, sha256="0")
    problem = Problem(title="t", status=422, detail="d", code="edit_diverged")
    record = desk.cancel().model_copy(update={"results": (stored,), "problem": problem})
    event = event_of(record)
    assert event.data.results[0].href == f"/v1/edits/{record.id}/result/0"
    assert event.data.problem == problem
    text = event.model_dump_json()
    assert "secret" not in text
    assert "local" not in text


@pytest.mark.parametrize("url", ["https://example.com", "https://example.com:8443/a?b=%20", "https://1.1.1.1/hook"])
def test_valid_url_is_accepted(url: str) -> None:
    check_url(url, private=False)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "http://example.com/hook",
        "ftp://example.com",
        "https://",
        "https:///path",
        "https://user:word@example.com",
        "https://user@example.com",
        "https://example.com/#part",
        "https://example.com/a b",
        "https://example.com/\n",
        "https://exämple.com/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://[::1",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://example.com/" + "a" * 2000,
    ],
)
def test_invalid_url_is_rejected(url: str) -> None:
    with pytest.raises(WebhookRefused):
        check_url(url, private=False)


def test_private_networks_are_accepted_if_allowed() -> None:
    for url in ("http://127.0.0.1:9000/hook", "http://hooks.internal/", "https://10.0.0.1/"):
        check_url(url, private=True)
    with pytest.raises(WebhookRefused):
        check_url("file:///etc/passwd", private=True)
