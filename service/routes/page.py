"""Routes of the web page, and of the demo's edits as examples."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import HTTPException
from PIL import Image

from jobs.settings import Settings
from magedit.demo.named import DEMO_EDITS, demo_edit
from service.deps import Backend
from service.etag import tagged

FOLDER = Path(__file__).parent.parent / "page"

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""Nothing from other hosts and nothing inline (CSP level 3); pictures that need a key are shown as blobs."""

DOCS_POLICY = CONTENT_SECURITY_POLICY.replace("blob:", "blob: data:")
"""That of `/docs`: Swagger UI's style sheet has its icons in it."""

SWAGGER = {"swagger-ui.css": "text/css; charset=utf-8", "swagger-ui-bundle.js": "text/javascript; charset=utf-8"}
"""The files of Swagger UI, which come with fastapi-offline."""

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

DEMO = Settings.model_fields["default_model"].default
"""The demo's model."""

_HEADERS = {
    # Revalidated each time, for a 304: an update never mixes two versions.
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
}

router = APIRouter(include_in_schema=False)


@router.get("/")
def page(request: Request) -> Response:
    """The page itself."""
    return file(request, "index.html")


@router.get("/page/presets.json")
def list_presets(backend: Backend) -> dict[str, list[dict[str, object]]]:
    """Example edits: the demo's, if its model is the default."""
    if backend.settings.default_model != DEMO:
        return {"presets": []}
    return {"presets": [preset(name) for name in DEMO_EDITS]}


@router.get("/page/presets/{name}.json")
def preset(name: str) -> dict[str, object]:
    """One example: prompts, words, and links to picture and mask."""
    _require(name in DEMO_EDITS)
    asked = demo_edit(name)
    return {
        "name": name,
        "source_prompt": asked.source_prompt,
        "target_prompt": asked.target_prompt,
        "words": list(asked.words),
        "image": f"/page/presets/{name}/image.png",
        "mask": f"/page/presets/{name}/mask.png",
    }


@router.get("/page/presets/{name}/{part}.png")
def preset_picture(request: Request, name: str, part: str) -> Response:
    """An example's picture or mask."""
    _require(name in DEMO_EDITS)
    if part == "image" or part == "mask":
        return _answer(request, _drawn(name, part), "image/png")
    raise HTTPException(HTTPStatus.NOT_FOUND)


@router.get("/docs")
def docs(request: Request) -> Response:
    """The interactive API reference."""
    content = (FOLDER / "docs" / "docs.html").read_bytes()
    return _answer(request, content, MEDIA_TYPES[".html"], {"Content-Security-Policy": DOCS_POLICY})


@router.get("/page/swagger/{name}")
def swagger(request: Request, name: str) -> Response:
    """One of Swagger UI's files."""
    _require(name in SWAGGER)
    return _answer(request, files("fastapi_offline").joinpath("static", name).read_bytes(), SWAGGER[name])


@router.get("/page/{name:path}")
def file(request: Request, name: str) -> Response:
    """One of the page's files."""
    try:
        # Resolved first: `..` and links may lead out of the folder.
        path = (FOLDER / name).resolve()
        there = path.is_relative_to(FOLDER.resolve()) and path.suffix in MEDIA_TYPES and path.is_file()
    except (OSError, ValueError):
        # An impossible file name: with a NUL, or too long.
        there = False
    _require(there)
    return _answer(request, path.read_bytes(), MEDIA_TYPES[path.suffix])


@cache
def _drawn(name: str, part: Literal["image", "mask"]) -> bytes:
    asked = demo_edit(name)
    picture: Image.Image = asked.image() if part == "image" else asked.mask()
    target = io.BytesIO()
    picture.save(target, "PNG")
    return target.getvalue()


def _answer(request: Request, content: bytes, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    return tagged(request, content, media_type, sha256(content).hexdigest()[:32], {**_HEADERS, **(headers or {})})


def _require(there: bool) -> None:
    if not there:
        raise HTTPException(HTTPStatus.NOT_FOUND)
