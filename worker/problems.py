"""Public problem of an edit that failed in the worker, without internals."""

from __future__ import annotations

from http import HTTPStatus

from jobs.errors import ContentWithheld, Unavailable
from jobs.schema import FieldError, Problem
from magedit.errors import InvalidEdit, MAGEditError

_TITLE = "The edit could not be carried out"


def problem_of(error: Exception) -> Problem:
    """The problem document of an error: the message of edit errors, withheld results and outages; `internal_error` for
    all others."""
    if isinstance(error, MAGEditError):
        status = HTTPStatus.UNPROCESSABLE_ENTITY if isinstance(error, InvalidEdit) else HTTPStatus.INTERNAL_SERVER_ERROR
        errors = (FieldError(field=error.field, message=error.message, values=error.values),) if error.field else ()
        return Problem(title=_TITLE, status=status, detail=error.message, code=error.code, errors=errors)
    if isinstance(error, ContentWithheld):
        return Problem(
            title="The result is withheld",
            status=HTTPStatus.UNPROCESSABLE_ENTITY,
            detail=error.message,
            code=error.code,
        )
    if isinstance(error, Unavailable):
        return Problem(title=_TITLE, status=HTTPStatus.SERVICE_UNAVAILABLE, detail=error.message, code=error.code)
    return Problem(
        title=_TITLE,
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        detail="an internal error occurred in the worker; it is logged under this edit's id",
        code="internal_error",
    )
