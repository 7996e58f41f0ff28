"""Entity tags: when 304 is the answer."""

from __future__ import annotations

import pytest
from fastapi import Request
from pydantic import BaseModel

from service.etag import json_answer, tagged


class Body(BaseModel):
    """An answer."""

    value: int


def request(if_none_match: str | None = None) -> Request:
    headers = [(b"if-none-match", if_none_match.encode())] if if_none_match else []
    return Request({"type": "http", "headers": headers})


@pytest.mark.parametrize("header", ['"tag"', 'W/"tag"', '"other", "tag"', "*"])
def test_a_known_tag_is_304(header: str) -> None:
    response = tagged(request(header), b"content", "text/plain", "tag", {"Retry-After": "1"})
    assert (response.status_code, response.body) == (304, b"")
    assert (response.headers["etag"], response.headers["retry-after"]) == ('"tag"', "1")


@pytest.mark.parametrize("header", [None, '"other"', "tag"])
def test_unknown_tag_is_200(header: str | None) -> None:
    response = tagged(request(header), b"content", "text/plain", "tag", {})
    assert (response.status_code, response.body) == (200, b"content")


def test_the_tag_follows_the_content() -> None:
    first, same, other = (json_answer(request(), Body(value=value)) for value in (1, 1, 2))
    assert first.headers["etag"] == same.headers["etag"] != other.headers["etag"]
