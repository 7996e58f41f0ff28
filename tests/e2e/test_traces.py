"""One trace from the request to the worker, at a collector that speaks OTLP over HTTP."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from redis import Redis

from jobs import keys
from jobs.models import tokenizer_sha256
from jobs.settings import Settings
from tests.conftest import PATIENCE_S, free_port, running, wait_until
from tests.service.conftest import mask, picture, tokenizer_json
from tests.worker.conftest import environment

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Span:
    """What is looked at of a span."""

    def __init__(self, service: str, name: str, trace: bytes, own: bytes, parent: bytes) -> None:
        self.service, self.name = service, name
        self.trace, self.id, self.parent = trace.hex(), own.hex(), parent.hex()


@contextmanager
def collector() -> Iterator[tuple[str, list[Span]]]:
    """Address of a collector and the spans that it got."""
    spans: list[Span] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
            for resource in request.resource_spans:
                names = {each.key: each.value.string_value for each in resource.resource.attributes}
                for scope in resource.scope_spans:
                    spans.extend(
                        Span(names["service.name"], each.name, each.trace_id, each.span_id, each.parent_span_id)
                        for each in scope.spans
                    )
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", spans
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_trace_from_request_to_worker(settings: Settings, tmp_path: Path) -> None:
    port = free_port()
    settings = settings.model_copy(update={"tracing": "otlp", "api_port": port, "reaper_interval_s": 0.1})
    with Redis.from_url(settings.redis_url) as redis:
        # What the painter announces in place of a tokenizer is none.
        redis.set(keys.TOKENIZER + tokenizer_sha256("{}"), tokenizer_json())
    with collector() as (url, spans):
        telemetry = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        env = {**os.environ, **environment(settings), **telemetry}
        with (
            running([sys.executable, "-m", "service"], env=env),
            running([sys.executable, "-m", "tests.worker.models.painter", str(tmp_path)], env=env),
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client,
        ):
            wait_until(lambda: _ready(client), what="front end and worker")
            answer = client.post(
                "/v1/edits",
                files=[("image", picture()), ("mask", mask())],
                data={"source_prompt": "a room", "target_prompt": "paint purple", "words": "purple"},
                headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"},
            )
            assert answer.status_code == 202, answer.text
            wait_until(lambda: {"queue", "edit"} <= {span.name for span in spans if span.trace == TRACE}, what="spans")
    mine = {span.name: span for span in spans if span.trace == TRACE}
    request = mine["POST /v1/edits"]
    assert (request.service, request.parent) == ("magedit-service", "b7ad6b7169203331")
    for name in ("queue", "edit"):
        assert (mine[name].service, mine[name].parent) == ("magedit-worker", request.id)


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz/workers").status_code == 200
    except httpx.TransportError:
        return False
