"""Parsing by a chat endpoint over real HTTP: requests, responses and failures."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from magedit.errors import LanguageModelUnavailable
from magedit.instructions.language_model import ANSWER_MAX, LanguageModel

ANSWER = {"phrase": "left sofa", "source_prompt": "a sofa", "target_prompt": "a blue sofa"}


class Endpoint:
    """Answers every request with ``status`` and ``body``, after ``pause_s``; records the requests."""

    def __init__(self) -> None:
        self.status, self.pause_s = 200, 0.0
        self.body = completion(json.dumps(ANSWER))
        self.asked: list[tuple[str, str | None, dict[str, Any]]] = []


def completion(content: str) -> bytes:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]}).encode()


@pytest.fixture
def endpoint() -> Iterator[tuple[Endpoint, str]]:
    told = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            told.asked.append((self.path, self.headers["authorization"], body))
            time.sleep(told.pause_s)
            self.send_response(told.status)
            self.send_header("content-length", str(len(told.body)))
            self.end_headers()
            # A client that waits no longer has gone.
            with contextlib.suppress(BrokenPipeError):
                self.wfile.write(told.body)

        def log_message(self, *args: Any) -> None:
            del args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield told, f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def model(endpoint: tuple[Endpoint, str]) -> Iterator[LanguageModel]:
    model = LanguageModel(endpoint[1] + "/", "small", key="secret", timeout_s=30)
    yield model
    model.close()


def test_reads_any_language(endpoint: tuple[Endpoint, str], model: LanguageModel) -> None:
    read = model("pinta el sofá izquierdo de azul", None, ("a", "sofa", "blue"))
    assert (read.read_by, read.phrase, read.source_prompt, read.target_prompt) == (
        "language-model",
        *ANSWER.values(),
    )
    assert read.seconds > 0
    assert read.warning is None
    ((path, authorization, body),) = endpoint[0].asked
    assert (path, authorization, body["model"]) == ("/v1/chat/completions", "Bearer secret", "small")
    assert json.loads(body["messages"][-1]["content"]) == {
        "instruction": "pinta el sofá izquierdo de azul",
        "caption": None,
    }
    assert body["messages"][0]["content"].endswith(": a blue sofa")
    assert body["response_format"]["type"] == "json_schema"


def test_keeps_the_given_caption(model: LanguageModel) -> None:
    assert model("make the sofa blue", "a red sofa").source_prompt == "a red sofa"


BROKEN: dict[str, tuple[Callable[[Endpoint], None], str]] = {
    "refuses": (lambda told: setattr(told, "status", 401), "answered with status 401"),
    "is no chat": (lambda told: setattr(told, "body", b"<html>"), "does not match the schema"),
    "is prose": (lambda told: setattr(told, "body", completion("Sure!")), "does not match the schema"),
    "lacks a prompt": (
        lambda told: setattr(told, "body", completion(json.dumps(ANSWER | {"target_prompt": ""}))),
        "does not match the schema",
    ),
    "names a thing of spaces": (
        lambda told: setattr(told, "body", completion(json.dumps(ANSWER | {"phrase": "  "}))),
        "does not match the schema",
    ),
    "never ends": (lambda told: setattr(told, "body", b"x" * (ANSWER_MAX + 1)), f"longer than {ANSWER_MAX} bytes"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_falls_back_to_rules_with_a_warning(endpoint: tuple[Endpoint, str], model: LanguageModel, how: str) -> None:
    arrange, told = BROKEN[how]
    arrange(endpoint[0])
    read = model("make the sofa blue", None)
    assert (read.read_by, read.target_prompt) == ("rules", "a blue sofa")
    assert told in str(read.warning)
    with pytest.raises(LanguageModelUnavailable) as caught:
        model("mach das Sofa blau", None)
    assert told in caught.value.message
    assert "The rules do not understand it either" in caught.value.message
    assert caught.value.field == "instruction"


def test_times_out_on_a_slow_or_missing_endpoint(endpoint: tuple[Endpoint, str]) -> None:
    endpoint[0].pause_s = 2.0
    for url, told in ((endpoint[1], "not respond within 0.1 s"), ("http://127.0.0.1:1/v1", "cannot be reached")):
        model = LanguageModel(url, "small", timeout_s=0.1)
        assert told in str(model("make the sofa blue", None).warning)
        model.close()


def test_pauses_after_a_request_without_a_response(endpoint: tuple[Endpoint, str]) -> None:
    endpoint[0].pause_s = 2.0
    model = LanguageModel(endpoint[1], "small", timeout_s=0.1)
    first, second = (model("make the sofa blue", None) for _ in range(2))
    assert "not respond within 0.1 s" in str(first.warning)
    assert "a moment ago" in str(second.warning)
    assert first.target_prompt == second.target_prompt == "a blue sofa"
    assert len(endpoint[0].asked) <= 1
    model.close()


def test_strips_the_keys_line_break_and_never_leaks_the_key(endpoint: tuple[Endpoint, str]) -> None:
    for key, sent in (("secret\n", ["Bearer secret"]), ("sec\nret", []), ("sécret", ["Bearer sÃ©cret"])):
        endpoint[0].asked.clear()
        model = LanguageModel(endpoint[1], "small", key=key, timeout_s=30)
        read = model("make the sofa blue", None)
        assert [authorization for _, authorization, _ in endpoint[0].asked] == sent
        assert ("MAGEDIT_INSTRUCTION_KEY" in str(read.warning)) is not bool(sent)
        assert "ret" not in str(read.warning)
        model.close()
