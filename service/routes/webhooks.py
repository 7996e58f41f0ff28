"""State of an edit's webhook delivery, and the webhook's payload for the contract."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from pydantic import Field

from jobs.schema import JobRecord
from jobs.webhooks.deliveries import DeliveryAttempt, DeliveryState
from jobs.webhooks.message import WebhookEvent, message_id
from service.deps import Backend, OwnEdit
from service.edits.views import EDITS, View
from service.errors import NoWebhook
from service.etag import json_answer
from service.openapi.responses import ETAGGED, REDIS_AWAY, problems
from service.routes.edits import NOT_FOUND

DESCRIPTION = """\
Sent to the edit's `webhook_url` at its end, following [Standard Webhooks](https://www.standardwebhooks.com) 1.0: verify
`webhook-signature` with your tenant's secret (`magedit webhooks secret`), and recognise repeated deliveries by
`webhook-id`. Respond with 2xx within 15 s. After any other response, redirects included, delivery is retried after 5 s,
5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h; 410 ends it.
"""

router = APIRouter(prefix=EDITS + "/{edit_id}", tags=["webhooks"])
told = APIRouter(tags=["webhooks"])


class AttemptView(View):
    """One delivery attempt."""

    number: int
    at: datetime
    seconds: float | None = Field(description="Duration in seconds; null: in progress, or its process was killed.")
    status: int | None = Field(description="HTTP status of the response; null: no response.")
    error: str | None = Field(description="Why there was no response.")


class DeliveryView(View):
    """The delivery of an edit's webhook."""

    url: str
    message_id: str = Field(description="`webhook-id` of every attempt.")
    state: DeliveryState = Field(description="`waiting` for the end of the edit, `pending`, `delivered` or `failed`.")
    next_at: datetime | None = Field(description="Time of the next attempt.")
    attempts: tuple[AttemptView, ...]


@router.get(
    "/webhook",
    summary="Get the webhook's delivery",
    response_model=DeliveryView,
    responses={
        **ETAGGED,
        **problems(NOT_FOUND, NoWebhook("edit 0190... was submitted without a webhook_url"), REDIS_AWAY),
    },
)
def get_delivery(request: Request, record: OwnEdit, backend: Backend) -> Response:
    """State of the delivery to the edit's `webhook_url`, with every attempt."""
    if record.webhook_url is None:
        raise NoWebhook(f"edit {record.id} was submitted without a webhook_url")
    return json_answer(request, _view(record, record.webhook_url, backend))


def _view(record: JobRecord, url: str, backend: Backend) -> DeliveryView:
    delivery = backend.deliveries.of(record.id)
    return DeliveryView(
        url=url,
        message_id=message_id(record.id),
        state=delivery.state,
        next_at=None if delivery.next_at is None else datetime.fromtimestamp(delivery.next_at, UTC),
        attempts=tuple(_attempt(each) for each in delivery.attempts),
    )


def _attempt(attempt: DeliveryAttempt) -> AttemptView:
    return AttemptView(**attempt.model_dump(exclude={"at"}), at=datetime.fromtimestamp(attempt.at, UTC))


@told.post(
    "edit.finished",
    operation_id="edit_finished",
    summary="An edit has ended",
    description=DESCRIPTION,
    response_class=Response,
    responses={
        200: {"description": "Any 2xx: delivered."},
        410: {"description": "Do not retry."},
    },
)
def edit_finished(
    event: WebhookEvent,
    webhook_id: Annotated[str, Header(description="The same for every attempt.")],
    webhook_timestamp: Annotated[int, Header(description="Time of this attempt, in Unix seconds.")],
    webhook_signature: Annotated[
        str,
        Header(
            description="`v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64; several are separated by spaces."
        ),
    ],
) -> None:
    """The webhook request."""
