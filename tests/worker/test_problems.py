from __future__ import annotations

import pytest

from jobs.errors import ContentWithheld, ObjectNotFound, StoreUnavailable
from magedit.errors import CheckpointError, EditDiverged, WordNotFound
from worker.problems import problem_of


@pytest.mark.parametrize(
    ("error", "status", "code", "field"),
    [
        (WordNotFound("'gren' is no word of the target prompt"), 422, "word_not_in_target_prompt", "words"),
        (EditDiverged("NaN at step 3"), 500, "edit_diverged", "guidance_step_size"),
        (CheckpointError("no UNet"), 500, "checkpoint_error", "model"),
    ],
)
def test_edit_errors_keep_code_and_message(error: Exception, status: int, code: str, field: str) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.code, problem.detail) == (status, code, str(error))
    assert [blamed.field for blamed in problem.errors] == [field]


def test_a_withheld_result_is_reported() -> None:
    problem = problem_of(ContentWithheld())
    assert (problem.status, problem.code) == (422, "content_withheld")


def test_an_outage_is_reported() -> None:
    assert (problem_of(StoreUnavailable("away")).status, problem_of(StoreUnavailable("away")).code) == (
        503,
        "storage_unavailable",
    )


@pytest.mark.parametrize("error", [ObjectNotFound("storage has no object 'secret/key'"), ValueError("secret")])
def test_internal_errors_are_not_exposed(error: Exception) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.code) == (500, "internal_error")
    assert "secret" not in problem.model_dump_json()
