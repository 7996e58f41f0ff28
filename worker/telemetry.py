"""Prometheus metrics, trace span and log fields of a worker's attempts."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector
from structlog.contextvars import bound_contextvars

from jobs.observability.tracing import context_of, trace_id_of
from jobs.observability.tracing import tracer as make_tracer
from jobs.schema import JobRecord, State
from jobs.settings import Settings
from magedit.measures.report import EditMeasures

LOST = "lost"
"""Outcome of an attempt that lost its claim."""

HANDED_BACK = "handed_back"
"""Outcome of an attempt whose edit was requeued."""

# Bounds of histograms, in seconds: from a demo edit on a GPU to null-text inversion on a CPU.
_EDIT_S = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
_STEP_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)

log = structlog.get_logger()


class AttemptTelemetry:
    """Telemetry of one attempt; its ``outcome`` is a state, `LOST` or `HANDED_BACK`."""

    def __init__(self) -> None:
        self.outcome = LOST
        self.measures: EditMeasures | None = None

    def ended(self, state: State | None, measures: EditMeasures | None = None) -> None:
        """Record the state after a commit; None if the claim was lost."""
        self.outcome, self.measures = state or LOST, measures


class Observer:
    """Metrics and spans of one worker process. Safe to share between threads."""

    def __init__(self, *models: str, tracer: Tracer | None = None) -> None:
        """``tracer`` creates the spans (default: none)."""
        self.registry = CollectorRegistry()
        self._tracer = tracer or make_tracer(None)
        of_model: dict[str, Any] = {"labelnames": ("model",), "registry": self.registry}
        of_kind: dict[str, Any] = of_model | {"labelnames": ("model", "kind")}
        self._edits = Counter(
            "magedit_attempts", "Attempts that ended.", ("model", "kind", "outcome"), registry=self.registry
        )
        self._running = Gauge("magedit_attempts_running", "Attempts under way.", **of_model)
        self._lost = Counter("magedit_lease_losses", "Attempts whose claim was lost.", **of_model)
        self._seconds = Histogram("magedit_attempt_seconds", "Wall time.", buckets=_EDIT_S, **of_kind)
        self._steps = Histogram(
            "magedit_step_seconds", "Wall time of a succeeded edit by its denoising steps.", buckets=_STEP_S, **of_model
        )
        self._stages = Histogram(
            "magedit_stage_seconds",
            "Wall time of a stage of a succeeded edit.",
            ("model", "stage"),
            buckets=_EDIT_S,
            registry=self.registry,
        )
        self._recovered = Counter("magedit_edits_recovered", "Edits that the reaper requeued.", registry=self.registry)
        self._webhooks = Counter(
            "magedit_webhook_attempts",
            "Delivery attempts by the resulting state of the delivery.",
            ("state",),
            registry=self.registry,
        )
        self.registry.register(_GpuMemory())
        for metric in (self._running, self._lost):
            for model in models:
                metric.labels(model)

    @contextmanager
    def attempt(self, claim: JobRecord) -> Iterator[AttemptTelemetry]:
        """Context of an attempt: its logs carry job, request and trace."""
        seen, began = AttemptTelemetry(), time.time_ns()
        context = context_of(claim.traceparent)
        attributes: dict[str, str | int] = {
            "magedit.job": claim.id,
            "magedit.attempt": claim.attempt,
            "magedit.model": claim.model,
        }
        if claim.attempt == 1:
            # By the clock of Redis; a local clock that lags must not make a span end before it starts.
            since = min(int(claim.created_at * 1e9), began)
            waiting = self._tracer.start_span("queue", context, SpanKind.CONSUMER, attributes, start_time=since)
            waiting.end(began)
        self._running.labels(claim.model).inc()
        names = {"job": claim.id, "request": claim.request_id, "trace": trace_id_of(claim.traceparent)}
        with (
            bound_contextvars(attempt=claim.attempt, **names),
            self._tracer.start_as_current_span("edit", context, SpanKind.CONSUMER, attributes) as span,
        ):
            try:
                yield seen
            finally:
                self._note(claim, seen, (time.time_ns() - began) / 1e9)
                span.set_attribute("magedit.outcome", seen.outcome)
                for stage, seconds in (seen.measures.stage_seconds if seen.measures else {}).items():
                    span.set_attribute(f"magedit.stage.{stage}_s", seconds)
                if seen.outcome == State.FAILED:
                    span.set_status(Status(StatusCode.ERROR))

    def recovered(self, edits: int) -> None:
        """Count edits that the reaper requeued."""
        self._recovered.inc(edits)

    def delivered(self, state: str) -> None:
        """Count an attempt to deliver a webhook."""
        self._webhooks.labels(state).inc()

    def _note(self, claim: JobRecord, seen: AttemptTelemetry, seconds: float) -> None:
        self._running.labels(claim.model).dec()
        self._edits.labels(claim.model, claim.kind, seen.outcome).inc()
        self._seconds.labels(claim.model, claim.kind).observe(seconds)
        if seen.outcome == LOST:
            self._lost.labels(claim.model).inc()
        if seen.measures is not None:
            self._steps.labels(claim.model).observe(seconds / claim.request.config.steps)
            for stage, taken in seen.measures.stage_seconds.items():
                self._stages.labels(claim.model, stage).observe(taken)


def gpu_memory(sizes: Mapping[str, int]) -> GaugeMetricFamily:
    """The metric of a device's memory; ``sizes`` in bytes by kind."""
    memory = GaugeMetricFamily("magedit_gpu_memory_bytes", "Memory of the worker's GPU.", labels=["kind"])
    for kind, size in sizes.items():
        memory.add_metric([kind], size)
    return memory


class _GpuMemory(Collector):
    """Memory of this process's GPU, if it uses one."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        torch = sys.modules.get("torch")
        if torch is None or not torch.cuda.is_initialized():
            yield gpu_memory({})
            return
        free, total = torch.cuda.mem_get_info()
        allocated, peak = torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()
        reserved = torch.cuda.memory_reserved()
        yield gpu_memory(
            {"allocated": allocated, "peak": peak, "reserved": reserved, "used": total - free, "total": total}
        )


def offer(registry: CollectorRegistry, settings: Settings) -> None:
    """Serve the metrics over HTTP in a thread, if the settings name a port."""
    if not settings.worker_metrics_port:
        return
    try:
        start_http_server(settings.worker_metrics_port, settings.worker_metrics_host, registry)
    except OSError as error:
        # Edits matter more than their metrics.
        log.error("no metrics: the port cannot be bound", port=settings.worker_metrics_port, reason=str(error))
