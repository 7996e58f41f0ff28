"""Rates: exact, over all who ask, and gone when unused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from jobs import keys
from jobs.tenants.limits import Rate, RateLimiter
from tests.conftest import PATIENCE_S, wait_until
from tests.jobs.conftest import Desk

SLOW = Rate("slow", quota=5, window_s=3600)


@pytest.fixture
def limiter(desk: Desk) -> RateLimiter:
    return RateLimiter(desk.redis)


def test_rate_limit_is_exact(limiter: RateLimiter) -> None:
    remaining = [limiter.acquire("acme", [SLOW]).left[0].remaining for _ in range(5)]
    assert remaining == [4, 3, 2, 1, 0]
    refused = limiter.acquire("acme", [SLOW])
    assert refused.refused == SLOW
    # One comes back every 3600 / 5 seconds, all of them after 3600.
    assert refused.retry_after_s == pytest.approx(720, abs=PATIENCE_S)
    assert refused.left[0].remaining == 0
    assert refused.left[0].reset_s == pytest.approx(3600, abs=PATIENCE_S)
    # What is refused costs nothing.
    assert limiter.acquire("acme", [SLOW]).retry_after_s <= refused.retry_after_s


def test_one_request_is_allowed_again_after_its_interval(limiter: RateLimiter) -> None:
    quick = Rate("quick", quota=2, window_s=1)
    assert [limiter.acquire("acme", [quick]).refused for _ in range(2)] == [None, None]
    # On a slow machine one has come back by now.
    wait_until(lambda: limiter.acquire("acme", [quick]).refused == quick)
    wait_until(lambda: limiter.acquire("acme", [quick]).refused is None)


def test_tenants_and_rates_are_independent(limiter: RateLimiter) -> None:
    other = Rate("other", quota=1, window_s=3600)
    assert limiter.acquire("acme", [SLOW, other]).refused is None
    # The second refuses, so the first is not charged either.
    for _ in range(9):
        decision = limiter.acquire("acme", [SLOW, other])
        assert (decision.refused, decision.left[0].remaining) == (other, 4)
    assert limiter.acquire("acme", [SLOW]).refused is None
    assert limiter.acquire("someone-else", [SLOW, other]).refused is None


def test_concurrent_requests_share_the_limit(limiter: RateLimiter) -> None:
    with ThreadPoolExecutor(8) as pool:
        decision = list(pool.map(lambda _: limiter.acquire("acme", [SLOW]), range(40)))
    assert sum(each.refused is None for each in decision) == SLOW.quota


def test_idle_tenant_leaves_no_keys(limiter: RateLimiter, desk: Desk) -> None:
    limiter.acquire("acme", [Rate("quick", quota=10, window_s=1)])
    wait_until(lambda: desk.redis.keys(keys.RATE + "*") == [])
