"""JSON responses with an entity tag (RFC 9110, 8.8.3), and 304 for unchanged ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import Request, Response
from pydantic import BaseModel


def json_answer(request: Request, body: BaseModel, headers: Mapping[str, str] | None = None) -> Response:
    """200 with ``body`` as JSON and its tag, or 304 if the caller already has it."""
    content = body.model_dump_json().encode()
    tag = hashlib.sha256(content).hexdigest()[:32]
    return tagged(request, content, "application/json", tag, {"Cache-Control": "no-cache", **(headers or {})})


def tagged(request: Request, content: bytes, media_type: str, tag: str, headers: Mapping[str, str]) -> Response:
    """200 with ``content``, or 304 if the request's If-None-Match names ``tag``."""
    known = not_modified(request, tag, headers)
    if known is not None:
        return known
    return Response(content, media_type=media_type, headers={"ETag": _quoted(tag), **headers})


def not_modified(request: Request, tag: str, headers: Mapping[str, str]) -> Response | None:
    """304 if the request's If-None-Match names ``tag``, for callers that have yet to fetch the content."""
    if _names(request.headers.get("if-none-match", ""), _quoted(tag)):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": _quoted(tag), **headers})
    return None


def _quoted(tag: str) -> str:
    return f'"{tag}"'


def _names(if_none_match: str, quoted: str) -> bool:
    # Weak comparison (RFC 9110, 13.1.2); a tag of ours holds no comma.
    candidates = (each.strip().removeprefix("W/") for each in if_none_match.split(","))
    return any(each in {quoted, "*"} for each in candidates)
