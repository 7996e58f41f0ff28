"""The tree of request errors."""

from __future__ import annotations

from jobs.schema import FieldError, Problem
from service import errors
from service.errors import EditFailed, NotReady, RequestError


def test_the_drawn_tree_is_the_tree() -> None:
    assert errors.__doc__ is not None
    drawn = {line.split("─ ")[1].split()[0] for line in errors.__doc__.splitlines() if "─ " in line}
    assert drawn == {each.__name__ for each in RequestError.__subclasses__()}


def test_messages_name_the_problem() -> None:
    away = NotReady([FieldError(field="redis", message="away"), FieldError(field="worker", message="none")])
    assert away.message == "redis: away; worker: none"
    problem = Problem(title="Diverged", status=422, detail="the latent became infinite", code="edit_diverged")
    assert EditFailed(problem).message == "the latent became infinite"
