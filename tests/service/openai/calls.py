"""Calls of `POST /v1/images/edits`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import httpx
from PIL import Image

from tests.service.conftest import SIZE, encode, picture

PATH = "/v1/images/edits"


PROMPTS = {"source_prompt": "a room with a green carpet", "prompt": "a room with a purple carpet"}


def alpha_mask() -> bytes:
    """OpenAI's mask: transparent where to edit."""
    image = Image.new("RGBA", SIZE, (0, 0, 0, 255))
    image.paste((0, 0, 0, 0), (10, 10, 30, 30))
    return encode(image)


def send(client: httpx.Client, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    files = [("image", ("room.png", picture(), "image/png")), ("mask", ("mask.png", alpha_mask(), "image/png"))]
    return client.post(PATH, files=files, data={**PROMPTS, **fields}, headers=headers)


def streaming(client: httpx.Client, **fields: Any) -> AbstractContextManager[httpx.Response]:
    """The same as it comes."""
    files = [("image", ("room.png", picture(), "image/png")), ("mask", ("mask.png", alpha_mask(), "image/png"))]
    return client.stream("POST", PATH, files=files, data={**PROMPTS, **fields})


def assert_refused(answer: httpx.Response, status: int, code: str, param: str | None = None) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["code"], error["param"]) == (code, param), error
    assert answer.headers["x-should-retry"] in {"true", "false"}
    return error
