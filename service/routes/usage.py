"""A tenant's usage and remaining quota."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from jobs.tenants.limits import Limits
from jobs.tenants.usage import Counts, bounds
from service.deps import Backend, UsageReader
from service.edits.views import View
from service.etag import json_answer
from service.openapi.responses import ETAGGED, REDIS_AWAY, problems

router = APIRouter(prefix="/v1/usage", tags=["usage"])


class Left(View):
    """The remaining quota; null: no limit."""

    unfinished: int | None = Field(description="Edits and masks that may be submitted now.")
    unet_passes: int | None = Field(description="UNet passes left in the current month.")


class Usage(View):
    """A tenant's usage in a month."""

    month: str = Field(description="Year and month (UTC).", examples=["2026-01"])
    begins_at: datetime
    ends_at: datetime
    counts: Counts
    unfinished: int = Field(description="Edits and masks currently queued or running.")
    limits: Limits = Field(description="0: no limit.")
    left: Left


@router.get("", summary="Get the usage", response_model=Usage, responses={**ETAGGED, **problems(REDIS_AWAY)})
def get_usage(
    request: Request,
    caller: UsageReader,
    backend: Backend,
    month: Annotated[
        str | None,
        Query(
            pattern=r"^20\d{2}-(0[1-9]|1[0-2])$", description="A month such as 2026-01 (UTC). Empty: the current one."
        ),
    ] = None,
) -> Response:
    """Your tenant's edits and their cost in a calendar month. Edits that failed or were canceled are not charged."""
    usage = backend.usage.of(caller.tenant, month)
    begins, ends = bounds(usage.month)
    present = usage if month is None else backend.usage.of(caller.tenant)
    left = Left(
        unfinished=_left(caller.limits.unfinished, usage.unfinished),
        unet_passes=_left(caller.limits.unet_passes_per_month, present.counts.unet_passes),
    )
    view = Usage(
        month=usage.month,
        begins_at=begins,
        ends_at=ends,
        counts=usage.counts,
        unfinished=usage.unfinished,
        limits=caller.limits,
        left=left,
    )
    return json_answer(request, view)


def _left(limit: int, used: int) -> int | None:
    return max(0, limit - used) if limit else None
