"""The Grafana dashboard asks for metrics, labels and label values that are really exported."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from jobs.observability.tracing import present_traceparent
from jobs.settings import Settings
from magedit.measures.report import EditMeasures
from service.backend import Backend
from service.metrics import Metrics
from tests.jobs.conftest import Desk
from tests.service.conftest import model_info, tokenizer_json
from worker.telemetry import Observer, gpu_memory

DASHBOARD = json.loads((Path(__file__).parents[2] / "deploy" / "grafana" / "magedit.json").read_text())
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
_WORDS = re.compile(r"[a-z_]\w*")
# What Prometheus adds to each sample.
SCRAPED = {"instance", "job"}


@pytest.fixture
def exported(settings: Settings) -> dict[str, set[str]]:
    """Names of all samples that a front end and a worker export, with their labels."""
    desk = Desk(settings)
    backend = Backend.open(settings)
    try:
        desk.models.announce(model_info(), "w", 60, tokenizer_json())
        front_end = Metrics()
        front_end.requests.labels("GET", "/v1/edits", "200").inc()
        front_end.seconds.labels("GET", "/v1/edits").observe(0.1)
        observer = Observer("demo")
        record = desk.record().model_copy(update={"attempt": 1, "traceparent": present_traceparent(None)})
        with observer.attempt(record) as seen:
            seen.measures = EditMeasures(stage_seconds={"edit": 1.0})
        observer.delivered("delivered")
        texts = [front_end.exposition(backend), generate_latest(observer.registry)]
    finally:
        desk.close()
        backend.close()
    families = [family for text in texts for family in text_string_to_metric_families(text.decode())]
    samples = [sample for family in families for sample in family.samples]
    found = {sample.name: set(sample.labels) for sample in samples}
    # This machine may have no GPU.
    return found | {gpu_memory({"used": 1}).name: {"kind"}}


def metrics(expression: str) -> Iterator[str]:
    yield from re.findall(r"magedit_\w+", expression)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_queries_use_exported_metrics(expression: str, exported: dict[str, set[str]]) -> None:
    names = set(metrics(expression))
    assert names
    assert names <= set(exported)
    labels = set.intersection(*(exported[name] for name in names)) | SCRAPED
    for group in re.findall(r"by \(([^)]*)\)", expression):
        assert set(_WORDS.findall(group)) <= labels, group
    for selector in re.findall(r"\{([^}]*)\}", expression):
        assert set(re.findall(r"(\w+)\s*[=!]", selector)) <= labels, selector


@pytest.mark.parametrize("panel", DASHBOARD["panels"], ids=lambda panel: panel["title"])
def test_legends_name_labels_that_the_query_keeps(panel: dict[str, list[dict[str, str]]]) -> None:
    for target in panel["targets"]:
        kept = {word for group in re.findall(r"by \(([^)]*)\)", target["expr"]) for word in _WORDS.findall(group)}
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= kept - {"le"}


def test_every_metric_is_shown(exported: dict[str, set[str]]) -> None:
    shown = {name for expression in EXPRESSIONS for name in metrics(expression)}
    stems = {re.sub(r"_(bucket|sum|count|created|total)$", "", name) for name in exported}
    assert stems == {re.sub(r"_(bucket|sum|count|created|total)$", "", name) for name in shown}


def test_panels_do_not_overlap() -> None:
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for at in (panel["gridPos"],)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
