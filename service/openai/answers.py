"""Responses of `POST /v1/images/edits`: results of a finished edit, events of a running one."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from io import BytesIO
from typing import Any, Final

from fastapi.sse import format_sse_event
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from jobs.errors import JobError, JobExpired, JobNotFound, JobNotReady, JobNotSucceeded
from jobs.records.previews import EditPreview
from jobs.schema import JobRecord, OutputFormat, Problem
from service.backend import Backend
from service.edits.results import presigned, require_pictures
from service.edits.views import path
from service.edits.watcher import NOTHING, Watch, WatchClosed
from service.errors import NotFinishedInTime
from service.openai.envelope import envelope_of
from service.openai.form import ImagesForm
from service.problems.mapping import make_problem, problem_of
from service.routes.events import KEEP_ALIVE_S, PreviewEvents

NO_USAGE: Final = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}
"""Token usage, which this service does not count but OpenAI's clients expect."""


class ImageData(BaseModel):
    """One result, in the requested format."""

    model_config = ConfigDict(frozen=True)

    b64_json: str | None = Field(default=None, description="The picture in base64.")
    url: str | None = Field(default=None, description="Address of the picture.")


class Images(BaseModel):
    """The results of an edit."""

    model_config = ConfigDict(frozen=True)

    created: int = Field(description="When the edit was accepted, in Unix seconds.")
    data: tuple[ImageData, ...]
    output_format: OutputFormat
    size: str = Field(description="Width and height of the results, as `640x480`.")


def problem_of_end(record: JobRecord, backend: Backend) -> Problem | None:
    """Why a finished edit has no result; None: it has one."""
    if record.problem is not None:
        return record.problem
    try:
        require_pictures(record, backend)
    except (JobNotReady, JobNotSucceeded, JobExpired) as error:
        return problem_of(error)
    return None


def images_of(record: JobRecord, asked: ImagesForm, backend: Backend, base_url: str) -> Images:
    """The results of a succeeded edit; ``base_url`` is the service's own.

    Raises:
        ObjectNotFound, StoreUnavailable: a result is missing or currently unavailable.
    """
    if asked.response_format == "url":
        data = tuple(ImageData(url=_url(record, number, backend, base_url)) for number in range(len(record.results)))
    else:
        data = tuple(ImageData(b64_json=_base64(backend.store.get(each.key))) for each in record.results)
    first = record.results[0]
    return Images(
        created=int(record.created_at),
        data=data,
        output_format=record.request.output_format,
        size=f"{first.width}x{first.height}",
    )


def _url(record: JobRecord, number: int, backend: Backend, base_url: str) -> str:
    return presigned(record, record.results[number], backend) or f"{base_url.rstrip('/')}{path(record)}/result/{number}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def events(record: JobRecord, asked: ImagesForm, backend: Backend, watch: Watch) -> AsyncIterator[bytes]:
    """Partial images while the edit runs, then each result, or an error."""
    previews, sent, seen = PreviewEvents(backend.previews, record.id), 0, NOTHING
    with watch.watching(record.id):
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE_S):
                    snapshot = await watch.after(record.id, seen)
            except TimeoutError:
                yield format_sse_event(comment="still here")
                continue
            except WatchClosed:
                goes_on = f"edit {record.id} keeps running: its result will be at {path(record)}/result"
                yield _error(problem_of(NotFinishedInTime(f"this server is stopping; {goes_on}")))
                return
            if snapshot is None:
                yield _error(_deleted(record))
                return
            if snapshot.state.is_terminal:
                break
            seen = snapshot.revision
            if sent == asked.partial_images:
                continue
            preview = await previews.latest(snapshot.attempt)
            # Evenly over the edit: the first of three after a quarter.
            if preview is not None and preview.step * (asked.partial_images + 1) >= preview.steps * (sent + 1):
                yield await run_in_threadpool(_partial, record, asked, preview, sent)
                sent += 1
    async for event in _end(record, asked, backend):
        yield event


async def _end(record: JobRecord, asked: ImagesForm, backend: Backend) -> AsyncIterator[bytes]:
    try:
        done = await run_in_threadpool(backend.records.require, record.id, record.tenant)
        problem = await run_in_threadpool(problem_of_end, done, backend)
        if problem is not None:
            yield _error(problem)
            return
        for each in done.results:
            data = await run_in_threadpool(backend.store.get, each.key)
            yield _event(done, asked, "completed", data, f"{each.width}x{each.height}", usage=NO_USAGE)
    except JobNotFound:
        yield _error(_deleted(record))
    except JobError as error:
        # Whatever it is: the status line is sent, and a stream that breaks off looks like a lost connection.
        yield _error(problem_of(error))


def _deleted(record: JobRecord) -> Problem:
    return make_problem(HTTPStatus.GONE, "expired", f"edit {record.id} was deleted")


def _partial(record: JobRecord, asked: ImagesForm, preview: EditPreview, index: int) -> bytes:
    with Image.open(BytesIO(preview.image)) as picture:
        size = f"{picture.width}x{picture.height}"
        if record.request.output_format == "jpeg":
            data = preview.image
        else:
            buffer = BytesIO()
            picture.save(buffer, record.request.output_format.upper())
            data = buffer.getvalue()
    return _event(record, asked, "partial_image", data, size, partial_image_index=index)


def _event(record: JobRecord, asked: ImagesForm, kind: str, data: bytes, size: str, **more: Any) -> bytes:
    told = {
        "type": f"image_edit.{kind}",
        "b64_json": _base64(data),
        "created_at": int(record.created_at),
        "size": size,
        "quality": asked.quality,
        "background": "auto",
        "output_format": record.request.output_format,
        **more,
    }
    return format_sse_event(event=told["type"], data_str=json.dumps(told))


def _error(problem: Problem) -> bytes:
    return format_sse_event(
        event="error", data_str=json.dumps({"type": "error", **envelope_of(problem).model_dump(mode="json")})
    )
