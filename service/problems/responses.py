"""Problem documents as HTTP responses: exception handlers and a middleware."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs import errors as job
from jobs.schema import Problem
from magedit import errors as edit
from service import errors as request
from service.problems.mapping import FRAMEWORK, MEDIA_TYPE, Known, make_problem, problem_of, validation_problem

_500 = HTTPStatus.INTERNAL_SERVER_ERROR

log = structlog.get_logger(__name__)


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The HTTP response with ``problem``."""
    return Response(
        problem.model_dump_json(),
        status_code=problem.status,
        headers=dict(headers or {}),
        media_type=MEDIA_TYPE,
    )


def error_response(error: Known) -> Response:
    """The HTTP response to one of our errors: problem document, headers and `Retry-After`."""
    headers = dict(error.headers) if isinstance(error, request.RequestError) else {}
    if isinstance(error, job.Unavailable | job.JobNotReady | job.TooManyUnfinished | job.KeyInUse):
        headers["Retry-After"] = str(error.retry_after_s)
    return problem_response(problem_of(error), headers)


def install(app: FastAPI) -> None:
    """Turn every error of ``app`` into a problem document."""
    for tree in (edit.MAGEditError, job.JobError, request.RequestError):
        app.add_exception_handler(tree, _on_known)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_fault)


class ProblemMiddleware:
    """Outermost: converts the framework's own error responses (such as 413) into problem documents."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        replaced = started = False

        async def send_problem(message: Message) -> None:
            nonlocal replaced, started
            started = True
            if message["type"] == "http.response.start" and message["status"] >= HTTPStatus.BAD_REQUEST:
                media_type = dict(message["headers"]).get(b"content-type", b"")
                if not media_type.startswith(MEDIA_TYPE.encode()):
                    replaced = True
                    await _http_problem(message["status"])(scope, receive, send)
            if not replaced:
                await send(message)

        try:
            await self.app(scope, receive, send_problem)
        except Exception as error:
            # Handled here, so that log and response carry the request's id; the server ends responses that fail midway.
            if started:
                raise
            await _on_fault(Request(scope), error)(scope, receive, send)


def _on_known(_: Request, error: Exception) -> Response:
    assert isinstance(error, edit.MAGEditError | job.JobError | request.RequestError)
    response = error_response(error)
    if response.status_code >= _500:
        log.warning("request refused", code=error.code, detail=error.message)
    return response


def _on_validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_response(validation_problem(error))


def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # The framework lists only the methods of the first route at this address.
        allowed = ", ".join(request.app.state.routes.methods(request.scope["path"]))
        return _http_problem(error.status_code, headers={"Allow": allowed})
    return _http_problem(error.status_code, detail=str(error.detail), headers=error.headers)


def _http_problem(status: int, *, detail: str | None = None, headers: Mapping[str, str] | None = None) -> Response:
    known = HTTPStatus(status)
    code, text = FRAMEWORK.get(status, (f"http_{status}", detail or known.phrase))
    return problem_response(make_problem(known, code, text), headers)


def _on_fault(_: Request, error: Exception) -> Response:
    log.error("unhandled error", exc_info=error)
    return _http_problem(_500)
