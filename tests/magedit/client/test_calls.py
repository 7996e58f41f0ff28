from __future__ import annotations

import httpx
import pytest

from magedit.client.calls import BACKOFF_S, LONGEST_PAUSE_S, pause_before_retry, submission


def answer(status: int, code: str = "", **headers: str) -> httpx.Response:
    body = {"title": "t", "status": status, "detail": "d", "code": code}
    headers["content-type"] = "application/problem+json"
    return httpx.Response(status, json=body, headers=headers)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_retryable_responses_are_retried(status: int) -> None:
    first, third = (pause_before_retry(attempt, 3, answer(status)) for attempt in (1, 3))
    assert first is not None
    assert third is not None
    assert BACKOFF_S <= first <= 2 * BACKOFF_S
    assert 4 * BACKOFF_S <= third <= 8 * BACKOFF_S
    assert pause_before_retry(4, 3, answer(status)) is None
    assert pause_before_retry(1, 0, answer(status)) is None


@pytest.mark.parametrize("status", [200, 202, 400, 401, 404, 409, 410, 422, 500])
def test_other_responses_are_not_retried(status: int) -> None:
    assert pause_before_retry(1, 3, answer(status)) is None


def test_the_service_says_when() -> None:
    assert (pause_before_retry(1, 3, answer(503, **{"retry-after": "5"})) or 0) >= 5
    assert pause_before_retry(1, 3, answer(503, **{"retry-after": str(int(LONGEST_PAUSE_S) + 1)})) is None


def test_an_edit_that_is_being_accepted_is_asked_for_again() -> None:
    assert pause_before_retry(1, 3, answer(409, "idempotency_key_in_use", **{"retry-after": "1"})) is not None
    assert pause_before_retry(1, 3, answer(409, "not_ready")) is None


def test_connection_errors_are_retried_a_few_times() -> None:
    assert pause_before_retry(1, 3, httpx.ConnectError("refused")) is not None
    assert pause_before_retry(4, 3, httpx.ConnectError("refused")) is None


def test_every_submission_has_a_key() -> None:
    keys = [
        submission(b"", [], idempotency_key=given, wait_s=0).options["headers"]["Idempotency-Key"]
        for given in (None, None, "mine")
    ]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"
