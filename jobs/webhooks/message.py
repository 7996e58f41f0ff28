"""Payload and signature of a webhook. Pure.

Payload and signature are those of Standard Webhooks 1.0 (standardwebhooks.com).
"""

from __future__ import annotations

import base64
import re
import secrets
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import Field
from standardwebhooks.webhooks import Webhook

from jobs.errors import WebhookRefused
from jobs.schema import AnyRecord, Frozen, Problem, State
from jobs.webhooks.addresses import is_public

URL_MAX: Final = 2000
"""Longest address, in characters: accepted by every HTTP server."""

SECRET_BYTES: Final = 32
"""Size of a secret; the specification requires 24 to 64."""

_PREFIX = "whsec_"
_URL = re.compile(r"[!-~]+", re.ASCII)


class WebhookFile(Frozen):
    """A result. ``href`` is a path on the service, ``size`` in bytes."""

    name: str
    href: str
    content_type: str
    size: int
    sha256: str


class WebhookEdit(Frozen):
    """Summary of the finished edit; ``href`` is its path on the service."""

    id: str
    href: str
    state: State
    model: str
    attempt: int
    created_at: datetime
    finished_at: datetime
    expires_at: datetime | None
    results: tuple[WebhookFile, ...]
    problem: Problem | None


class WebhookEvent(Frozen):
    """The body of a delivery."""

    type: Literal["edit.succeeded", "edit.failed", "edit.canceled", "mask.succeeded", "mask.failed", "mask.canceled"]
    timestamp: datetime = Field(description="When the edit ended.")
    data: WebhookEdit


def check_url(url: str, *, private: bool) -> None:
    """Check an address for webhooks; ``private``: private networks are allowed.

    Host names are resolved when a webhook is sent, not here.

    Raises:
        WebhookRefused: the address is not allowed; the message says why.
    """
    if len(url) > URL_MAX or not _URL.fullmatch(url):
        raise WebhookRefused(
            f"the address contains spaces or non-ASCII characters, or is longer than {URL_MAX} characters"
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise WebhookRefused(f"{url!r} is not an address: {error}") from error
    if parts.scheme != "https" and not (private and parts.scheme == "http"):
        raise WebhookRefused(f"{url!r} is not an https:// address")
    if not host or port == 0 or parts.fragment:
        raise WebhookRefused(f"{url!r} is not the address of a server: give https://host/path")
    if parts.username is not None or parts.password is not None:
        raise WebhookRefused("the address contains a user or password: put a token into its path or query instead")
    if not private and not _may_be_public(host):
        raise WebhookRefused(f"{host} is not a public internet address")


def _may_be_public(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return True
    return is_public(host)


def event_of(record: AnyRecord) -> WebhookEvent:
    """The event of a finished edit: identical at every delivery."""
    assert record.state.is_terminal
    assert record.finished_at is not None
    ended = datetime.fromtimestamp(record.finished_at, UTC)
    href = f"/v1/{record.kind}s/{record.id}"
    result = "result" if record.kind == "edit" else "candidates"
    data = WebhookEdit(
        id=record.id,
        href=href,
        state=record.state,
        model=record.model,
        attempt=record.attempt,
        created_at=datetime.fromtimestamp(record.created_at, UTC),
        finished_at=ended,
        expires_at=None if record.expires_at is None else datetime.fromtimestamp(record.expires_at, UTC),
        results=tuple(
            WebhookFile(
                name=each.name,
                href=f"{href}/{result}/{number}",
                content_type=each.content_type,
                size=each.size,
                sha256=each.sha256,
            )
            for number, each in enumerate(record.results)
        ),
        problem=record.problem,
    )
    return WebhookEvent.model_validate({"type": f"{record.kind}.{record.state}", "timestamp": ended, "data": data})


def message_id(job_id: str) -> str:
    """`webhook-id`: unique per edit, so that receivers recognise repeated deliveries."""
    return f"msg_{job_id}"


def new_secret() -> str:
    """A new secret, as shown to its tenant."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signed_headers(valid: tuple[str, ...], message: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers, with one signature per ``valid`` secret, so that a rotation breaks no receiver."""
    sent = datetime.fromtimestamp(timestamp, UTC)
    return {
        "webhook-id": message,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(Webhook(secret).sign(message, sent, body.decode()) for secret in valid),
    }
