"""Every error has a place in HTTP, and every error answer is a problem document."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from jobs.errors import JobError, Unavailable
from jobs.schema import FieldError, Problem
from jobs.settings import Settings
from magedit.errors import LanguageModelUnavailable, MAGEditError
from service.app import create_app
from service.errors import Busy, EditFailed, NotReady, RequestError
from service.problems.mapping import KINDS, Known, problem_of
from tests.service.conftest import assert_problem, serving

STORED = Problem(title="Diverged", status=500, detail="the latent became infinite", code="edit_diverged")


def leaves(tree: type[Exception]) -> Iterator[type[Exception]]:
    """The classes of a tree that have no subclass in the rooms that the front end stands on."""
    below = [each for each in tree.__subclasses__() if each.__module__.startswith(("magedit.", "jobs.", "service."))]
    if not below:
        yield tree
    for each in below:
        yield from leaves(each)


LEAVES = [leaf for tree in (MAGEditError, JobError, RequestError) for leaf in leaves(tree)]


def example(leaf: type[Exception]) -> Known:
    """An error of this class."""
    if leaf is NotReady:
        return NotReady([FieldError(field="redis", message="away")])
    if leaf is EditFailed:
        return EditFailed(STORED)
    error = leaf("what is wrong")
    assert isinstance(error, MAGEditError | JobError | RequestError)
    return error


def test_all_error_hierarchies_are_found() -> None:
    assert len(LEAVES) >= 28


UNANSWERED = {NotReady, Busy, LanguageModelUnavailable}
"""503 besides Redis and the object storage: what may be there again later."""


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.__name__)
def test_every_error_class_is_mapped(leaf: type[Exception]) -> None:
    assert leaf in KINDS, f"{leaf.__name__} needs a line in service.problems.mapping.KINDS"
    problem = problem_of(example(leaf))
    assert 400 <= problem.status < 600
    assert problem.type == f"urn:magedit:problem:{problem.code}"
    assert (problem.status == 503) == (issubclass(leaf, Unavailable) or leaf in UNANSWERED)


def test_codes_are_unique() -> None:
    codes = [leaf.code for leaf in LEAVES if isinstance(example(leaf), MAGEditError | JobError | RequestError)]  # type: ignore[attr-defined]
    assert len(codes) == len(set(codes))


def test_a_failed_edit_answers_with_its_own_code() -> None:
    problem = problem_of(EditFailed(STORED))
    assert (problem.status, problem.code, problem.detail) == (409, "edit_diverged", STORED.detail)


def test_unknown_addresses_and_methods(client: httpx.Client) -> None:
    for path in ("/v2/edits", "/v1/edits/", "/nothing"):
        assert_problem(client.get(path), 404, "no_such_address")
    response = client.patch("/v1/edits")
    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"]


def test_internal_error_is_a_500_without_details(settings: Settings) -> None:
    app = create_app(settings)

    @app.get("/fault")
    def fault() -> None:
        raise RuntimeError("secret detail")

    with serving(settings, app=app) as client:
        response = client.get("/fault")
    assert_problem(response, 500, "internal_error")
    assert "secret" not in response.text
