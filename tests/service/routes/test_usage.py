"""Usage over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from redis import Redis

from jobs.settings import Settings
from jobs.tenants.api_keys import ApiKeys
from jobs.tenants.limits import Limits
from tests.service.conftest import Announce, Form, WorkerSide, assert_problem, serving


def test_without_keys_usage_is_counted_but_not_limited(
    client: httpx.Client, form: Form, worker_side: WorkerSide
) -> None:
    worker_side.succeed(worker_side.claim(form.send(client).json()["id"]))
    form.send(client)
    response = client.get("/v1/usage")
    usage = response.json()
    assert usage["begins_at"].startswith(usage["month"] + "-01T00:00:00")
    assert usage["begins_at"] < usage["ends_at"]
    assert usage["counts"].pop("seconds") > 0
    assert usage["counts"] == {"accepted": 2, "succeeded": 1, "failed": 0, "canceled": 0, "masks": 0, "unet_passes": 20}
    assert usage["unfinished"] == 1
    assert set(usage["limits"].values()) == {0}
    assert usage["left"] == {"unfinished": None, "unet_passes": None}
    same = client.get("/v1/usage", headers={"If-None-Match": response.headers["etag"]})
    assert same.status_code == 304


def test_another_month(client: httpx.Client, form: Form) -> None:
    form.send(client)
    assert client.get("/v1/usage", params={"month": "2020-02"}).json()["counts"]["accepted"] == 0
    for wrong in ("2020-13", "2020", "last"):
        assert_problem(client.get("/v1/usage", params={"month": wrong}), 422, "invalid_request", "month")


@pytest.fixture
def limited(settings: Settings, announce: Announce) -> Iterator[httpx.Client]:
    """A client of a tenant that may have two unfinished edits and 20 UNet passes a month."""
    announce()
    with Redis.from_url(settings.redis_url) as redis:
        _, token = ApiKeys(redis).create("local", limits=Limits(unfinished=2, unet_passes_per_month=20))
    with serving(settings.model_copy(update={"auth": "keys"})) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def test_remaining_quota(limited: httpx.Client, form: Form, worker_side: WorkerSide) -> None:
    ids = [form.send(limited).json()["id"] for _ in range(2)]
    assert limited.get("/v1/usage").json()["left"] == {"unfinished": 0, "unet_passes": 20}
    refused = form.send(limited)
    assert_problem(refused, 429, "too_many_unfinished")
    assert int(refused.headers["retry-after"]) >= 1
    worker_side.succeed(worker_side.claim(ids[0]))
    usage = limited.get("/v1/usage").json()
    assert usage["left"] == {"unfinished": 1, "unet_passes": 0}
    assert usage["limits"]["submits_per_minute"] > 0
    assert_problem(form.send(limited), 402, "quota_exhausted")
    # What was refused left nothing.
    assert {key.split("/")[1] for key in worker_side.store.keys("local/")} == set(ids)
