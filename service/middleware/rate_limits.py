"""Rate-limit headers and refusals (429) per tenant.

`RateLimit` and `RateLimit-Policy` are those of draft-ietf-httpapi-ratelimit-headers-10: lists of items, one per policy:
quota `q` per window of `w` seconds, `r` left, full again in `t` seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from jobs.settings import Settings
from jobs.tenants.limits import Left, Limits, Rate, RateLimiter
from service.errors import RateLimited


def default_limits(settings: Settings) -> Limits:
    """The limits of a key without limits of its own."""
    return Limits(
        requests_per_minute=settings.requests_per_minute,
        submits_per_minute=settings.submits_per_minute,
        unfinished=settings.unfinished_limit,
        unet_passes_per_month=settings.unet_passes_per_month,
    )


def rates_of(limits: Limits, *, submits: bool) -> list[Rate]:
    """The rates that a request counts towards."""
    rates = [Rate("requests", limits.requests_per_minute)]
    if submits:
        rates.append(Rate("submits", limits.submits_per_minute))
    return [rate for rate in rates if rate.quota]


def acquire(limiter: RateLimiter, tenant: str, rates: Sequence[Rate]) -> dict[str, str]:
    """Count a request; returns the headers of its response. Raises RateLimited, QueueUnavailable."""
    if not rates:
        return {}
    decision = limiter.acquire(tenant, rates)
    headers = rate_headers(decision.left)
    if decision.refused is not None:
        wait_s = max(1, math.ceil(decision.retry_after_s))
        name, quota, window_s = decision.refused
        detail = f"a tenant may send {quota} {name} in {window_s} s; try again in {wait_s} s"
        raise RateLimited(detail, retry_after_s=wait_s, headers=headers)
    return headers


def rate_headers(left: Sequence[Left]) -> dict[str, str]:
    """The two fields (RFC 9651 lists)."""
    return {
        "RateLimit-Policy": ", ".join(f'"{rate.name}";q={rate.quota};w={rate.window_s}' for rate, _, _ in left),
        "RateLimit": ", ".join(
            f'"{rate.name}";r={remaining};t={math.ceil(reset_s)}' for rate, remaining, reset_s in left
        ),
    }
