from __future__ import annotations

import json
import sys
from collections.abc import Callable

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from jobs.observability.tracing import present_traceparent, trace_id_of
from jobs.schema import JobRecord, MaskRecord, MaskRequest, State, new_id
from magedit.measures.report import EditMeasures
from tests.conftest import free_port, wait_until
from tests.jobs.conftest import Desk
from tests.worker.conftest import Process
from worker.telemetry import HANDED_BACK, LOST, Observer

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
MEASURES = EditMeasures(stage_seconds={"invert": 1.5, "edit": 3.0})


def value(observer: Observer, name: str, **labels: str) -> float | None:
    return observer.registry.get_sample_value(name, {"model": "demo", **labels})


def claim(desk: Desk) -> JobRecord:
    return desk.record().model_copy(update={"attempt": 1, "traceparent": SAMPLED, "created_at": desk.records.now() - 2})


@pytest.mark.parametrize(("state", "outcome"), [(State.SUCCEEDED, "succeeded"), (State.FAILED, "failed"), (None, LOST)])
def test_attempts_are_counted_by_outcome(state: State | None, outcome: str, desk: Desk) -> None:
    observer = Observer("demo")
    with observer.attempt(claim(desk)) as seen:
        assert value(observer, "magedit_attempts_running") == 1
        seen.ended(state, MEASURES if state is State.SUCCEEDED else None)
    assert value(observer, "magedit_attempts_running") == 0
    assert value(observer, "magedit_attempts_total", kind="edit", outcome=outcome) == 1
    assert value(observer, "magedit_lease_losses_total") == (outcome == LOST)
    assert value(observer, "magedit_step_seconds_count") == (1 if state is State.SUCCEEDED else None) or 0
    stage = value(observer, "magedit_stage_seconds_sum", stage="edit")
    assert stage == (3.0 if state is State.SUCCEEDED else None)


def test_masks_are_counted_apart_from_edits() -> None:
    observer = Observer("demo")
    request = MaskRequest(model="demo", words="sofa")
    mask = MaskRecord(id=new_id(), tenant="local", request=request, image="image", attempt=1)
    with observer.attempt(mask) as seen:
        seen.ended(State.FAILED)
    assert value(observer, "magedit_attempts_total", kind="mask", outcome="failed") == 1
    assert value(observer, "magedit_attempts_total", kind="edit", outcome="failed") is None
    assert value(observer, "magedit_attempt_seconds_count", kind="mask") == 1


def test_error_is_raised_and_counted(desk: Desk) -> None:
    observer = Observer("demo")
    with pytest.raises(RuntimeError), observer.attempt(claim(desk)):
        raise RuntimeError
    assert value(observer, "magedit_attempts_total", kind="edit", outcome=LOST) == 1


def test_spans_continue_the_requests_trace(desk: Desk) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    mine = claim(desk)
    with Observer("demo", tracer=provider.get_tracer("test")).attempt(mine) as seen:
        seen.ended(State.FAILED)
    queue, edit = exporter.get_finished_spans()
    assert (queue.name, edit.name) == ("queue", "edit")
    for span in (queue, edit):
        assert span.context is not None
        assert span.parent is not None
        assert f"{span.context.trace_id:032x}" == trace_id_of(mine.traceparent)
        assert f"{span.parent.span_id:016x}" == (mine.traceparent or "").split("-")[2]
    assert queue.start_time is not None
    assert queue.end_time is not None
    assert queue.end_time - queue.start_time > 1e9
    assert edit.attributes is not None
    assert (edit.attributes["magedit.outcome"], edit.attributes["magedit.job"]) == ("failed", mine.id)
    assert not edit.status.is_ok


def test_a_second_attempt_has_no_queue_span(desk: Desk) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with Observer("demo", tracer=provider.get_tracer("test")).attempt(
        claim(desk).model_copy(update={"attempt": 2})
    ) as seen:
        seen.outcome = HANDED_BACK
    assert [span.name for span in exporter.get_finished_spans()] == ["edit"]


def test_reaper_and_deliverer_are_counted() -> None:
    observer = Observer("demo")
    observer.recovered(2)
    observer.delivered("delivered")
    assert observer.registry.get_sample_value("magedit_edits_recovered_total") == 2
    assert observer.registry.get_sample_value("magedit_webhook_attempts_total", {"state": "delivered"}) == 1


def test_a_gpus_memory_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert b"magedit_gpu_memory_bytes{" not in generate_latest(Observer("demo").registry)


def test_a_worker_offers_its_metrics_and_logs_where_an_edit_came_from(
    desk: Desk, spawn: Callable[..., Process], capfd: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    spawn(worker_metrics_port=port)
    trace = present_traceparent(None)
    other = desk.submit(request_id="told", traceparent=trace)
    wait_until(lambda: desk.get(other).state.is_terminal)
    wait_until(lambda: "magedit_attempts_total{" in httpx.get(f"http://127.0.0.1:{port}/metrics").text)
    families = {
        family.name: family for family in text_string_to_metric_families(httpx.get(f"http://127.0.0.1:{port}/").text)
    }
    (sample,) = (each for each in families["magedit_attempts"].samples if each.name.endswith("_total"))
    assert (sample.labels["model"], sample.value) == ("demo", 1)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    about = [line for line in lines if line.get("job") == other.id and line["event"].startswith("edit ")]
    assert {line["event"] for line in about} >= {"edit ended"}
    assert {(line["request"], line["trace"]) for line in about} == {("told", trace_id_of(trace))}
