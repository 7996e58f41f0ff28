"""Delivers webhooks, as `python -m worker.webhooks` alone or in a thread of each worker.

A delivery becomes due in the step that ends its edit, and stays due until it is answered with 2xx or given up
(`jobs.webhooks.deliveries`). If a deliverer dies, others take over its deliveries, so a receiver may get one twice,
with the same `webhook-id`.
"""

from __future__ import annotations

import random
import ssl
import threading
import time
from collections.abc import Callable
from http import HTTPStatus

import httpx
import structlog
from redis import Redis

from jobs.errors import QueueUnavailable
from jobs.observability.tracing import trace_id_of
from jobs.records.store import Records
from jobs.schema import UnreadableRecord
from jobs.settings import Settings
from jobs.webhooks.deliveries import PAUSES_S, ClaimedDelivery, Deliveries, DeliveryVerdict
from jobs.webhooks.message import event_of, message_id, signed_headers
from jobs.webhooks.secrets import WebhookSecrets
from worker.webhooks.safe_post import CannotSend, Resolve, post, resolve

POLL_S = 0.5
"""Pause between two checks for due deliveries, in seconds."""

SENDERS = 16
"""Most concurrent deliveries of one process: slow receivers must not delay the others."""

LEASE_MARGIN_S = 15.0
"""Time for a delivery besides the request itself, mainly name resolution, in seconds."""

JITTER = 0.1
"""Largest relative jitter of a pause, so that deliveries that failed together are not retried together."""

STOP_S = 5.0
"""How long a stopping process waits for running deliveries, in seconds; those cut off are repeated."""

log = structlog.get_logger()


class Deliverer:
    """Delivers until stopped."""

    def __init__(
        self,
        redis: Redis,
        settings: Settings,
        *,
        context: ssl.SSLContext | None = None,
        resolve: Resolve = resolve,
        pauses_s: tuple[float, ...] = PAUSES_S,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``context``: TLS trust (default: the public authorities); ``resolve`` looks names up; ``told`` is called with
        the delivery's state after each attempt."""
        self._told = told
        self._settings = settings
        self._context, self._resolve = context or httpx.create_ssl_context(), resolve
        self._records, self._secrets = Records(redis, settings), WebhookSecrets(redis)
        jittered = tuple(pause * (1 + JITTER * random.random()) for pause in pauses_s)
        self._deliveries = Deliveries(redis, lease_s=settings.webhook_timeout_s + LEASE_MARGIN_S, pauses_s=jittered)

    def run(self, stop: threading.Event, alive: Callable[[], None] = lambda: None) -> None:
        """Deliver until ``stop`` is set, through outages. ``alive`` is called before each check of the queue."""
        sending: list[threading.Thread] = []
        while not stop.wait(POLL_S):
            alive()
            sending = [each for each in sending if each.is_alive()]
            try:
                due = self._deliveries.claim(SENDERS - len(sending)) if len(sending) < SENDERS else ()
            except QueueUnavailable:
                log.warning("nothing can be delivered: Redis is away")
                continue
            except Exception:
                # Catch everything: without this thread no webhook is ever sent again.
                log.exception("nothing can be delivered")
                continue
            for taken in due:
                # Daemons: a receiver that does not answer must not keep this process alive.
                thread = threading.Thread(target=self._send, args=(taken,), name="delivery", daemon=True)
                thread.start()
                sending.append(thread)
        end = time.monotonic() + STOP_S
        for each in sending:
            each.join(max(0.0, end - time.monotonic()))

    def _send(self, taken: ClaimedDelivery) -> None:
        logger = log.bind(job=taken.id, delivery_attempt=taken.number)
        try:
            self._attempt(taken, logger)
        except QueueUnavailable:
            # It is due again when its lease ends.
            logger.warning("delivery not recorded: Redis is away")
        except Exception:
            logger.exception("delivery failed")

    def _attempt(self, taken: ClaimedDelivery, logger: structlog.typing.FilteringBoundLogger) -> None:
        record = self._records.get(taken.id)
        if record is None or record.webhook_url is None or not record.state.is_terminal:
            self._deliveries.drop(taken.id)
            return
        if isinstance(record, UnreadableRecord):
            # Due again when its lease ends: a process of the version that wrote it can deliver it.
            logger.warning("not delivered: the record is not readable, another version's?")
            return
        body = event_of(record).model_dump_json().encode()
        now = int(time.time())
        headers = {
            "content-type": "application/json",
            "user-agent": "magedit",
            **signed_headers(self._secrets.valid(record.tenant), message_id(record.id), now, body),
        }
        began = time.monotonic()
        status, error = None, None
        try:
            status = post(
                record.webhook_url,
                headers,
                body,
                timeout_s=self._settings.webhook_timeout_s,
                private=self._settings.webhook_private,
                context=self._context,
                resolve=self._resolve,
            )
        except CannotSend as reason:
            error = str(reason)
        seconds = time.monotonic() - began
        state = self._deliveries.report(taken, _verdict(status), seconds=seconds, status=status, error=error)
        self._told(state)
        logger = logger.bind(request=record.request_id, trace=trace_id_of(record.traceparent))
        logger.info("webhook sent", state=state, status=status, error=error, seconds=round(seconds, 3))


def _verdict(status: int | None) -> DeliveryVerdict:
    """Standard Webhooks 1.0: 2xx is success, 410 asks to stop, anything else, redirects too, is a failure."""
    if status is not None and 200 <= status < 300:
        return DeliveryVerdict.DELIVERED
    return DeliveryVerdict.FAILED if status == HTTPStatus.GONE else DeliveryVerdict.RETRY
