from __future__ import annotations

import re

import pytest
from opentelemetry import trace

from jobs.observability.tracing import context_of, present_traceparent, trace_id_of, tracer, tracer_provider
from jobs.settings import Settings

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_callers_trace_is_continued() -> None:
    passed = present_traceparent(GIVEN)
    assert trace_id_of(passed) == trace_id_of(GIVEN) == "0af7651916cd43dd8448eb211c80319c"
    assert passed.split("-")[2] != GIVEN.split("-")[2]
    assert passed.endswith("-01")


@pytest.mark.parametrize(
    "received", [None, "", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "ff" + GIVEN[2:]]
)
def test_trace_starts_without_a_callers_trace(received: str | None) -> None:
    first, second = present_traceparent(received), present_traceparent(received)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", first)
    assert trace_id_of(first) != trace_id_of(second)


def test_the_context_of_a_record() -> None:
    parent = trace.get_current_span(context_of(GIVEN)).get_span_context()
    assert (f"{parent.trace_id:032x}", f"{parent.span_id:016x}") == tuple(GIVEN.split("-")[1:3])
    assert not trace.get_current_span(context_of(None)).get_span_context().is_valid
    assert trace_id_of(None) is None


def test_no_spans_with_tracing_off() -> None:
    assert tracer_provider(Settings(), "worker") is None
    with tracer(None).start_as_current_span("edit") as span:
        assert not span.is_recording()
