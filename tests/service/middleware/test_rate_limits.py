"""How an answer tells a tenant's rates."""

from __future__ import annotations

from jobs.tenants.limits import Left, Limits, Rate
from service.middleware.rate_limits import rate_headers, rates_of


def test_submits_count_twice_and_zero_is_unlimited() -> None:
    limits = Limits(requests_per_minute=60, submits_per_minute=5)
    assert [rate.name for rate in rates_of(limits, submits=False)] == ["requests"]
    assert [(rate.name, rate.quota) for rate in rates_of(limits, submits=True)] == [("requests", 60), ("submits", 5)]
    assert rates_of(Limits(), submits=True) == []


def test_the_fields_are_lists_of_items() -> None:
    left = (Left(Rate("requests", 60), 59, 0.2), Left(Rate("submits", 5), 0, 60.0))
    assert rate_headers(left) == {
        "RateLimit-Policy": '"requests";q=60;w=60, "submits";q=5;w=60',
        "RateLimit": '"requests";r=59;t=1, "submits";r=0;t=60',
    }
