"""Trace context (W3C, level 1) from request through record to worker, and optional spans.

Every request has a trace id, its caller's or a new one, which logs and records carry. Spans are created and exported
only with `MAGEDIT_TRACING=otlp` and need the SDK of the extra `tracing`; the API alone does nothing at almost no cost.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from jobs.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_HEADER = "traceparent"
_PROPAGATOR = TraceContextTextMapPropagator()
_NAME = "magedit"


class TracingNotInstalled(RuntimeError):
    """Tracing is on, but OpenTelemetry's SDK is not installed."""

    def __init__(self) -> None:
        super().__init__("MAGEDIT_TRACING is otlp, but OpenTelemetry's SDK is missing: pip install 'magedit[tracing]'")


def tracer_provider(settings: Settings, process: str) -> TracerProvider | None:
    """Provider that creates and exports the spans of a ``process`` (`service`, `worker`); None if tracing is off.

    OpenTelemetry's own variables configure exporter and sampling (`OTEL_EXPORTER_OTLP_ENDPOINT`,
    `OTEL_TRACES_SAMPLER`, ...). Raises TracingNotInstalled.
    """
    if settings.tracing == "off":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TracingNotInstalled from error
    provider = TracerProvider(resource=Resource.create({"service.name": f"{_NAME}-{process}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def tracer(provider: TracerProvider | None) -> Tracer:
    """Tracer of a process; without ``provider`` its spans do nothing."""
    return trace.get_tracer(_NAME, tracer_provider=provider or trace.NoOpTracerProvider())


def context_of(traceparent: str | None) -> Context:
    """Parent context of a span; without a valid ``traceparent``, that of a new trace."""
    return _PROPAGATOR.extract({_HEADER: traceparent} if traceparent else {}, Context())


def present_traceparent(received: str | None) -> str:
    """The `traceparent` to pass on: the current span's, else a new, unsampled span's in the trace of
    ``received`` or in a new trace."""
    present = trace.get_current_span().get_span_context()
    if present.is_valid:
        return _header(present)
    parent = trace.get_current_span(context_of(received)).get_span_context()
    trace_id = parent.trace_id if parent.is_valid else secrets.randbits(128) | 1
    return _header(SpanContext(trace_id, secrets.randbits(64) | 1, is_remote=False, trace_flags=parent.trace_flags))


def trace_id_of(traceparent: str | None) -> str | None:
    """Its trace id: 32 hex digits."""
    return traceparent.split("-")[1] if traceparent else None


def _header(context: SpanContext) -> str:
    flags = int(context.trace_flags)
    return f"00-{trace.format_trace_id(context.trace_id)}-{trace.format_span_id(context.span_id)}-{flags:02x}"
