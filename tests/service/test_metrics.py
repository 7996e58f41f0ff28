"""Counting without the application."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from service.metrics import Metrics, MetricsMiddleware


def test_a_crash_counts_as_500_and_passes_on() -> None:
    metrics = Metrics()

    async def crash(scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError(scope["method"])

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "method": "GET", "path": "/"}

    async def call() -> None:
        await MetricsMiddleware(crash, metrics, lambda _: "unmatched")(scope, receive, send)

    with pytest.raises(RuntimeError, match="GET"):
        asyncio.run(call())
    labels = {"method": "GET", "route": "unmatched", "status": "500"}
    assert metrics.registry.get_sample_value("magedit_http_requests_total", labels) == 1
