"""Errors in OpenAI's format: envelope, status codes and retry advice.

A problem document becomes `{"error": {"message", "type", "param", "code"}}`; `code` stays this service's own. OpenAI's
clients repeat a call with 408, 409, 429 or 500 and above unless `x-should-retry` says no: here it always says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.errors import JobNotSucceeded, QuotaExhausted, UnknownModel
from jobs.schema import Problem
from service.openai.form import PATH
from service.problems.mapping import MEDIA_TYPE

SHOULD_RETRY = "x-should-retry"

_BY_CODE: Mapping[str, HTTPStatus] = MappingProxyType(
    {
        UnknownModel.code: HTTPStatus.NOT_FOUND,
        QuotaExhausted.code: HTTPStatus.TOO_MANY_REQUESTS,
        JobNotSucceeded.code: HTTPStatus.BAD_REQUEST,
    }
)
_TYPES: Mapping[int, str] = MappingProxyType(
    {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
)
_PARAMS: Mapping[str, str] = MappingProxyType({"target_prompt": "prompt"})


class ErrorBody(BaseModel):
    """Description of the error."""

    model_config = ConfigDict(frozen=True)

    message: str
    type: str
    param: str | None = Field(default=None, description="The parameter at fault.")
    code: str = Field(description="One of the codes of `Problem`.")


class Envelope(BaseModel):
    """An error in OpenAI's shape."""

    model_config = ConfigDict(frozen=True)

    error: ErrorBody


def status_of(problem: Problem) -> int:
    """The status of a problem in OpenAI's terms: invalid requests are 400."""
    if problem.code in _BY_CODE:
        return int(_BY_CODE[problem.code])
    return int(HTTPStatus.BAD_REQUEST) if problem.status == HTTPStatus.UNPROCESSABLE_ENTITY else problem.status


def envelope_of(problem: Problem) -> Envelope:
    """The envelope of a problem document."""
    status = status_of(problem)
    kind = _TYPES.get(status, "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error")
    param = problem.errors[0].field if problem.errors else None
    return Envelope(
        error=ErrorBody(
            message=problem.detail, type=kind, param=_PARAMS.get(param, param) if param else None, code=problem.code
        )
    )


class EnvelopeMiddleware:
    """Converts every problem document from `POST /v1/images/edits` into OpenAI's format, whatever its source."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH:
            await self.app(scope, receive, send)
            return
        held: Message | None = None
        body = b""

        async def send_enveloped(message: Message) -> None:
            nonlocal held, body
            if message["type"] == "http.response.start" and _is_problem(message):
                held = message
                return
            if held is None:
                await send(message)
                return
            body += message.get("body", b"")
            if not message.get("more_body", False):
                start, content = _enveloped(held, body)
                await send(start)
                await send({"type": "http.response.body", "body": content})

        await self.app(scope, receive, send_enveloped)


def _is_problem(start: Message) -> bool:
    media_type: bytes = dict(start["headers"]).get(b"content-type", b"")
    return media_type.startswith(MEDIA_TYPE.encode())


def _enveloped(start: Message, body: bytes) -> tuple[Message, bytes]:
    problem = Problem.model_validate(json.loads(body))
    content = envelope_of(problem).model_dump_json().encode()
    answer: dict[str, Any] = {**start, "status": status_of(problem), "headers": list(start["headers"])}
    headers = MutableHeaders(scope=answer)
    headers["content-type"], headers["content-length"] = "application/json", str(len(content))
    # Without a `Retry-After`, the same request would only be rejected, or carried out, again.
    again = "retry-after" in headers or problem.status == HTTPStatus.REQUEST_TIMEOUT
    headers.setdefault(SHOULD_RETRY, "true" if again and problem.code != QuotaExhausted.code else "false")
    return answer, content
