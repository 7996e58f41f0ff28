"""The gate over HTTP: rates, and who is asked for them. Keys are tested in `test_auth`."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from redis import Redis

from jobs.settings import Settings
from jobs.tenants.api_keys import ApiKeys
from jobs.tenants.limits import Limits
from tests.service.conftest import Announce, Form, assert_problem, serving


@pytest.fixture
def api_keys(settings: Settings) -> Iterator[ApiKeys]:
    with Redis.from_url(settings.redis_url) as redis:
        yield ApiKeys(redis)


@pytest.fixture
def locked(settings: Settings, announce: Announce) -> Iterator[httpx.Client]:
    announce()
    with serving(settings.model_copy(update={"auth": "keys", "requests_per_minute": 7})) as client:
        yield client


def authorize(client: httpx.Client, api_keys: ApiKeys, **limits: int) -> None:
    """Call from here on with a key of a tenant named like its limits."""
    _, token = api_keys.create("t-" + "-".join(limits), limits=Limits(**limits))
    client.headers["Authorization"] = f"Bearer {token}"


def test_the_settings_limit_applies_unless_the_key_overrides_it(locked: httpx.Client, api_keys: ApiKeys) -> None:
    for own, quota in (({}, 7), ({"requests_per_minute": 3}, 3)):
        authorize(locked, api_keys, **own)
        answers = [locked.get("/v1/edits") for _ in range(quota)]
        assert {answer.status_code for answer in answers} == {200}
        assert answers[0].headers["ratelimit-policy"] == f'"requests";q={quota};w=60'
        assert answers[0].headers["ratelimit"].startswith(f'"requests";r={quota - 1};t=')
        refused = locked.get("/v1/edits")
        problem = assert_problem(refused, 429, "rate_limited")
        assert f"{quota} requests in 60 s" in problem["detail"]
        assert 1 <= int(refused.headers["retry-after"]) <= 60 / quota + 1
        assert refused.headers["ratelimit"].startswith('"requests";r=0;t=')


def test_a_key_can_be_without_a_limit(locked: httpx.Client, api_keys: ApiKeys) -> None:
    authorize(locked, api_keys, requests_per_minute=0)
    answers = [locked.get("/v1/edits") for _ in range(9)]
    assert {answer.status_code for answer in answers} == {200}
    assert "ratelimit" not in answers[0].headers


def test_new_edits_have_a_rate_of_their_own(locked: httpx.Client, api_keys: ApiKeys, form: Form) -> None:
    authorize(locked, api_keys, requests_per_minute=0, submits_per_minute=2)
    assert [form.send(locked).status_code for _ in range(2)] == [202, 202]
    refused = form.send(locked)
    assert_problem(refused, 429, "rate_limited")
    assert refused.headers["ratelimit-policy"] == '"submits";q=2;w=60'
    # Looking at what was accepted goes on.
    assert len(locked.get("/v1/edits").json()["edits"]) == 2


def test_errors_carry_the_rates_too(locked: httpx.Client, api_keys: ApiKeys) -> None:
    authorize(locked, api_keys, requests_per_minute=100)
    response = locked.get("/v1/edits/" + "0" * 32)
    assert_problem(response, 404, "not_found")
    assert response.headers["ratelimit"].startswith('"requests";r=99')


def test_rates_are_shared_by_the_keys_of_a_tenant(locked: httpx.Client, api_keys: ApiKeys) -> None:
    for used in range(2):
        authorize(locked, api_keys, requests_per_minute=10)
        assert locked.get("/v1/edits").headers["ratelimit"].startswith(f'"requests";r={9 - used}')


def test_without_keys_there_are_no_rates(client: httpx.Client) -> None:
    assert "ratelimit" not in client.get("/v1/edits").headers
