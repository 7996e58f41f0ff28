"""What OpenAPI shows of the answers."""

from __future__ import annotations

from jobs.errors import NoWorkerForModel, QueueFull
from magedit.errors import EmptyMask, WordNotFound
from service.edits.views import Edit
from service.openapi.responses import QUEUED, SUCCEEDED, example, problems


def test_problems_of_one_status_share_a_response() -> None:
    documented = problems(EmptyMask("empty"), WordNotFound("no word"), QueueFull("full"), NoWorkerForModel("none"))
    assert set(documented) == {422, 503}
    content = documented[422]["content"]["application/problem+json"]
    assert set(content["examples"]) == {"mask_empty", "word_not_in_target_prompt"}
    assert content["examples"]["mask_empty"]["value"]["errors"] == [{"field": "mask", "message": "empty", "values": {}}]
    assert "Retry-After" in documented[503]["headers"]
    assert "headers" not in documented[422]


def test_examples_validate_as_responses() -> None:
    for edit in (QUEUED, SUCCEEDED):
        assert Edit.model_validate(example(edit)["application/json"]["example"]) == edit
    assert not QUEUED.state.is_terminal
    assert SUCCEEDED.state.is_terminal
