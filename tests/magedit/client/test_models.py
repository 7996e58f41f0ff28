"""Answers as the client reads them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from magedit.client.models import TERMINAL, Edit, Measures, Page, State
from service.edits.views import Edit as Told
from service.openapi.__main__ import FILE

FILE_OF = {"name": "result-0.png", "href": "/x", "content_type": "image/png", "size": 1, "sha256": "5" * 64}
ANSWER: dict[str, Any] = {
    "id": "a" * 32,
    "state": "queued",
    "model": "demo",
    "priority": "normal",
    "queue_position": 0,
    "progress": None,
    "eta_s": None,
    "attempt": 0,
    "seed": 0,
    "timings": dict.fromkeys(("started_at", "finished_at", "waiting_s", "running_s"))
    | {"created_at": "2026-01-01T00:00:00Z"},
    "measures": None,
    "results": [FILE_OF],
    "artifacts": [],
    "deadline_at": None,
    "expires_at": None,
    "problem": None,
}


@pytest.mark.parametrize("state", ["queued", "running", "succeeded", "failed", "canceled"])
def test_only_final_states_are_finished(state: State) -> None:
    assert Edit.model_validate(ANSWER | {"state": state}).finished is (state in TERMINAL)
    assert {"queued", "running"}.isdisjoint(TERMINAL)


def test_unknown_fields_are_ignored_and_missing_ones_have_defaults() -> None:
    edit = Edit.model_validate(ANSWER | {"mood": "fine", "results": [FILE_OF | {"colour": "red"}]})
    assert not hasattr(edit, "mood")
    assert (edit.results[0].seed, edit.history, edit.webhook_url) == (None, (), None)


def test_missing_and_mistyped_fields_are_errors() -> None:
    with pytest.raises(ValidationError, match="state"):
        Edit.model_validate(ANSWER | {"state": "lost"})
    with pytest.raises(ValidationError, match="next_cursor"):
        Page.model_validate({"edits": [ANSWER]})


def test_an_answer_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Edit.model_validate(ANSWER).state = "failed"


def test_every_field_is_one_that_the_contract_promises() -> None:
    schemas = json.loads(FILE.read_text())["components"]["schemas"]
    for model, told in ((Edit, schemas[Told.__name__]), (Measures, schemas["EditMeasures"])):
        assert set(model.model_fields) <= set(told["properties"])
