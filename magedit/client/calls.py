"""Requests, responses and retries shared by the synchronous and the asynchronous client."""

from __future__ import annotations

import hashlib
import json
import random
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from .models import Edit, Mask, Preview, Problem, State

Picture = str | Path | bytes

RETRIES = 3
"""Default number of retries."""

BACKOFF_S = 0.25
"""Pause before the first retry, in seconds; doubled each time, plus up to as much again at random."""

LONGEST_PAUSE_S = 10.0
"""Longest `Retry-After` that is honoured, in seconds; beyond it the call fails."""

POLL_S = 0.5
"""Longest pause between two polls of an edit, in seconds; an unchanged edit is cheap (304)."""

# Fields sent as JSON arrays; any other sequence is sent as a repeated field.
_ARRAYS = frozenset({"regions", "mask_shapes", "points", "box"})

# Statuses after which a retry may succeed (RFC 9110, 15; RFC 6585, 4).
_LATER = frozenset({429, 502, 503, 504})


class ServiceError(Exception):
    """The service answered with a problem; ``retry_after_s`` says when to try again, if it does."""

    def __init__(self, problem: Problem, retry_after_s: float | None) -> None:
        super().__init__(f"{problem.title}: {problem.detail}")
        self.problem = problem
        self.retry_after_s = retry_after_s


class EditNotSucceeded(Exception):
    """The awaited ``edit`` has failed or was canceled."""

    def __init__(self, edit: Edit) -> None:
        reason = f": {edit.problem.title}: {edit.problem.detail}" if edit.problem else ""
        super().__init__(f"edit {edit.id} is {edit.state}{reason}")
        self.edit = edit


class DamagedFile(Exception):
    """The received bytes do not match the service's checksum."""


class Call(NamedTuple):
    """One request; ``options`` are httpx's. Every call can be repeated: those that create an edit carry an
    `Idempotency-Key`."""

    method: str
    path: str
    options: Mapping[str, Any] = {}
    reads_refusals: bool = False


def submission(
    image: Picture | None,
    masks: Sequence[Picture],
    *,
    idempotency_key: str | None,
    wait_s: int,
    **fields: object,
) -> Call:
    """`POST /v1/edits`; without the caller's key one is generated, so that the call can be repeated."""
    files = [("mask", _upload("mask", mask)) for mask in masks]
    if image is not None:
        files.insert(0, ("image", _upload("image", image)))
    headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
    if wait_s:
        headers["Prefer"] = f"wait={wait_s}"
    return Call("POST", "/v1/edits", {**_multipart(files, form_data(**fields)), "headers": headers})


def _multipart(files: list[tuple[str, tuple[str, bytes]]], data: dict[str, str | list[str]]) -> dict[str, Any]:
    """httpx's options for a multipart form; without files httpx would encode it differently."""
    if files:
        return {"data": data, "files": files}
    parts = [(name, each) for name, value in data.items() for each in (value if isinstance(value, list) else [value])]
    return {"files": [(name, (None, value)) for name, value in parts]}


def mask_submission(
    image: Picture | None,
    *,
    points: Sequence[Sequence[float]],
    box: Sequence[float] | None,
    words: str | None,
    idempotency_key: str | None,
    wait_s: int,
    **fields: object,
) -> Call:
    """`POST /v1/masks`; keys as `submission` has them."""
    files = [] if image is None else [("image", _upload("image", image))]
    asked = {"points": [list(each) for each in points] or None, "box": box and list(box), "words": words}
    headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
    if wait_s:
        headers["Prefer"] = f"wait={wait_s}"
    return Call("POST", "/v1/masks", {**_multipart(files, form_data(**asked, **fields)), "headers": headers})


def mask_of(response: httpx.Response) -> Mask:
    """The mask in a response."""
    return Mask.model_validate_json(response.content)


def found_mask(mask: Mask) -> Mask:
    """The mask, once finished. Raises ServiceError if it has not succeeded."""
    if mask.state != "succeeded":
        detail = f"mask {mask.id} is {mask.state}"
        raise ServiceError(mask.problem or Problem(title="No mask", status=409, detail=detail, code=mask.state), None)
    return mask


def listing(state: State | None, limit: int, cursor: str | None) -> Call:
    """`GET /v1/edits`."""
    asked = {"state": state, "limit": limit, "cursor": cursor}
    return Call("GET", "/v1/edits", {"params": {name: value for name, value in asked.items() if value is not None}})


def pause_before_retry(attempt: int, retries: int, outcome: httpx.Response | httpx.TransportError) -> float | None:
    """Seconds to wait before retrying the call; None: do not retry.

    Args:
        attempt: number of calls so far. retries: most retries. outcome: the response, or the error in place of one.
    """
    if attempt > retries:
        return None
    backoff_s: float = BACKOFF_S * 2 ** (attempt - 1) * (1 + random.random())
    if isinstance(outcome, httpx.TransportError):
        return backoff_s
    if outcome.status_code not in _LATER and not _is_under_way(outcome):
        return None
    wanted_s = retry_after_s(outcome) or 0.0
    return max(wanted_s, backoff_s) if wanted_s <= LONGEST_PAUSE_S else None


def _is_under_way(response: httpx.Response) -> bool:
    """Whether the first call with the same `Idempotency-Key` is still in progress."""
    return response.status_code == httpx.codes.CONFLICT and problem_of(response).code == "idempotency_key_in_use"


def checked(response: httpx.Response) -> httpx.Response:
    """The response. Raises ServiceError on 4xx and 5xx."""
    if response.is_error:
        raise ServiceError(problem_of(response), retry_after_s(response))
    return response


def outcome_of(call: Call, attempt: int, response: httpx.Response) -> httpx.Response:
    """The final response after ``attempt`` attempts. Raises ServiceError, unless the call ``reads_refusals``."""
    if call.reads_refusals:
        return response
    if call.method == "DELETE" and attempt > 1 and response.status_code == httpx.codes.NOT_FOUND:
        # The first call took effect; its response was lost.
        return response
    return checked(response)


def look_pause_s(response: httpx.Response) -> float:
    """Seconds until the next poll of an edit: the service's `Retry-After`, at most `POLL_S`."""
    return min(POLL_S, retry_after_s(response) or POLL_S)


def ended(edit: Edit, *, raise_on_failure: bool) -> Edit:
    """The finished edit. Raises EditNotSucceeded if it failed or was canceled and the caller asked for the error."""
    if raise_on_failure and edit.state != "succeeded":
        raise EditNotSucceeded(edit)
    return edit


def too_late(edit_id: str, timeout_s: float | None) -> TimeoutError:
    """The error for an edit that has not finished in time."""
    return TimeoutError(
        f"edit {edit_id} has not finished within {timeout_s:g} s; it is still running, `cancel` stops it"
    )


def edit_of(response: httpx.Response) -> Edit:
    """The edit in a response."""
    return Edit.model_validate_json(response.content)


def preview_in(response: httpx.Response) -> Preview | None:
    """The preview in a response; None: not available. Raises ServiceError if there is no such edit."""
    if response.status_code == httpx.codes.NOT_FOUND and problem_of(response).code == "no_preview":
        return None
    headers = checked(response).headers
    return Preview(
        image=response.content,
        content_type=headers["content-type"],
        **{name: int(headers[f"preview-{name}"]) for name in ("result", "step", "steps")},
    )


def save(data: bytes, edit: Edit, number: int, target: Path) -> None:
    """Write a result as ``target``, completely or not at all. Raises DamagedFile if its checksum is not the edit's."""
    if number < len(edit.results) and hashlib.sha256(data).hexdigest() != edit.results[number].sha256:
        raise DamagedFile(f"result {number} of edit {edit.id} arrived damaged: download it again")
    part = target.with_name(target.name + ".part")
    part.write_bytes(data)
    part.replace(target)


def form_data(**fields: Any) -> dict[str, str | list[str]]:
    """The text fields of a form: mappings and the fields of `_ARRAYS` as JSON, sequences repeated, None left out."""
    data: dict[str, str | list[str]] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping) or (name in _ARRAYS and value is not None):
            data[name] = json.dumps(value)
        elif isinstance(value, list | tuple):
            data[name] = [str(each) for each in value]
        elif value is not None:
            data[name] = str(value)
    return data


def _upload(name: str, picture: Picture) -> tuple[str, bytes]:
    if isinstance(picture, bytes):
        return name, picture
    path = Path(picture)
    return path.name, path.read_bytes()


def problem_of(response: httpx.Response) -> Problem:
    """The problem document of a response; a synthetic one if a proxy responded."""
    if response.headers.get("content-type", "").startswith("application/problem+json"):
        return Problem.model_validate_json(response.content)
    return Problem(
        title=response.reason_phrase, status=response.status_code, detail=response.text[:200], code="not_the_service"
    )


def retry_after_s(response: httpx.Response) -> float | None:
    """Seconds of the response's `Retry-After`, if it has one."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdigit() else None
