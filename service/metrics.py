"""Prometheus metrics of one front-end process, in a registry of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Annotated

from fastapi import Depends, Request
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.errors import Unavailable
from jobs.schema import PRIORITIES
from service.backend import Backend

CONTENT_TYPE = CONTENT_TYPE_LATEST
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
"""Label of all other methods: callers must not be able to grow the label set."""


class Metrics:
    """Metrics counted in this process, and those read from Redis at each scrape."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "magedit_http_requests",
            "HTTP requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "magedit_http_request_seconds", "Time to answer.", ("method", "route"), registry=self.registry
        )

    def exposition(self, backend: Backend) -> bytes:
        """The metrics in Prometheus' text format."""
        queues = CollectorRegistry()
        queues.register(_Queues(backend))
        return generate_latest(self.registry) + generate_latest(queues)


class _Queues(Collector):
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("magedit_redis_up", "Whether Redis answers.")
        depth = GaugeMetricFamily("magedit_queue_depth", "Edits in line.", labels=["model", "priority"])
        age = GaugeMetricFamily(
            "magedit_queue_age_seconds", "Waiting time of the next edit in the queue.", labels=["model", "priority"]
        )
        webhooks = GaugeMetricFamily("magedit_webhooks_due", "Unfinished webhook deliveries.")
        workers = GaugeMetricFamily("magedit_workers", "Live workers.", labels=["model"])
        try:
            for name, status in self._backend.models.all().items():
                for priority in PRIORITIES:
                    depth.add_metric([name, priority], self._backend.queue.depth(name, priority))
                    age.add_metric([name, priority], self._backend.queue.age_s(name, priority))
                workers.add_metric([name], status.workers)
            webhooks.add_metric([], self._backend.deliveries.due())
            up.add_metric([], 1)
        except Unavailable:
            up.add_metric([], 0)
        yield from (up, depth, age, workers, webhooks)


class MetricsMiddleware:
    """Counts and times every request by route, not by path."""

    def __init__(self, app: ASGIApp, metrics: Metrics, route_of: Callable[[str], str]) -> None:
        """``route_of`` gives the route of a path, one of a few."""
        self.app, self.metrics, self.route_of = app, metrics, route_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, note)
        finally:
            # By path, not by the route that answered: requests refused before routing count under their route too.
            route = self.route_of(scope["path"])
            method = scope["method"] if scope["method"] in METHODS else OTHER
            self.metrics.requests.labels(method, route, str(status)).inc()
            self.metrics.seconds.labels(method, route).observe(time.perf_counter() - began)


async def _metrics(request: Request) -> Metrics:
    metrics: Metrics = request.app.state.metrics
    return metrics


MetricsDep = Annotated[Metrics, Depends(_metrics)]
