"""A typed client of the HTTP service. Needs httpx and pydantic alone: this file can be copied into another project.

with Client("http://127.0.0.1:8000") as client:
    edit = client.submit("room.png", ["mask.png"], source_prompt="a red sofa", target_prompt="a blue sofa")
    edit = client.wait(edit.id)
    Path("out.png").write_bytes(client.result(edit.id))
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import httpx
from pydantic import BaseModel, ConfigDict

State = Literal["queued", "running", "succeeded", "failed", "canceled"]
Picture = str | Path | bytes

TERMINAL: frozenset[State] = frozenset({"succeeded", "failed", "canceled"})
POLL_S = 0.5
"""Pause between two looks at an edit where the service names none, in seconds."""


class _Answer(BaseModel):
    """A later service may say more than this client knows."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class FieldError(_Answer):
    """One blamed parameter."""

    field: str
    message: str


class Problem(_Answer):
    """Problem details (RFC 9457)."""

    title: str
    status: int
    detail: str
    code: str
    errors: tuple[FieldError, ...] = ()


class Progress(_Answer):
    """``step`` of ``steps`` of the stage; ``fraction`` of the whole edit, 0..1."""

    stage: str
    step: int
    steps: int
    fraction: float


class Ratios(_Answer):
    """Token ratio and spatial ratio of one region, 0..1."""

    token: float
    spatial: float


class Measures(_Answer):
    """What the edit did and cost; see `EditMeasures` in the service's contract."""

    before: tuple[Ratios, ...]
    after: tuple[Ratios, ...]
    unguided: tuple[Ratios, ...] | None
    words: tuple[tuple[str, ...], ...]
    unet_forward: int
    unet_truncated_forward: int
    unet_backward: int
    stage_seconds: dict[str, float]
    crop: tuple[int, int, int, int]
    outside_difference: int
    dilation: int
    inversion_reused: bool = False


class Timings(_Answer):
    """Times, and durations in seconds."""

    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    waiting_s: float | None
    running_s: float | None


class File(_Answer):
    """A picture that can be fetched."""

    name: str
    href: str
    content_type: str
    size: int
    sha256: str


class Edit(_Answer):
    """An edit as it stands."""

    id: str
    state: State
    model: str
    priority: Literal["normal", "low"]
    queue_position: int | None
    progress: Progress | None
    eta_s: float | None
    attempt: int
    seed: int | None
    timings: Timings
    measures: Measures | None
    source_edit: str | None = None
    history: tuple[str, ...] = ()
    results: tuple[File, ...]
    artifacts: tuple[File, ...]
    deadline_at: datetime | None
    expires_at: datetime | None
    problem: Problem | None
    webhook_url: str | None = None

    @property
    def finished(self) -> bool:
        """Whether its state can no longer change."""
        return self.state in TERMINAL


class Page(_Answer):
    """Edits, newest first; ``next_cursor`` None: the last page."""

    edits: tuple[Edit, ...]
    next_cursor: str | None


class Model(_Answer):
    """A model that can be asked for."""

    name: str
    ready: bool
    workers: int
    queued: int
    image_size: int
    max_prompt_tokens: int


class ServiceError(Exception):
    """The service answered with a problem; ``retry_after_s`` says when to try again, if it does."""

    def __init__(self, problem: Problem, retry_after_s: float | None) -> None:
        super().__init__(f"{problem.title}: {problem.detail}")
        self.problem = problem
        self.retry_after_s = retry_after_s


class Client:
    """Calls one service. Safe to share between threads; a context manager that closes its connections."""

    def __init__(self, server: str, *, key: str | None = None, timeout_s: float = 60.0) -> None:
        """``key``: the API key, where the service asks for one."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=server.rstrip("/"), headers=headers, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def submit(
        self,
        image: Picture | None,
        masks: Sequence[Picture],
        *,
        source_prompt: str | None = None,
        target_prompt: str,
        words: Sequence[str] = (),
        regions: Sequence[Mapping[str, Any]] | None = None,
        artifacts: Sequence[str] = (),
        idempotency_key: str | None = None,
        wait_s: int = 0,
        **fields: object,
    ) -> Edit:
        """Submit an edit.

        With ``idempotency_key`` the call can be repeated: it gives the same edit. ``wait_s`` asks the service to answer
        when the edit is finished, or after so many seconds; keep it below the client's time-out. ``fields`` are any
        further form fields of `POST /v1/edits`; None leaves one out.

        Without ``image`` the field ``source_edit`` names the edit whose result is edited further.

        Raises:
            ServiceError: it was refused; nothing was kept.
        """
        data = form_data(
            source_prompt=source_prompt,
            target_prompt=target_prompt,
            words=words,
            artifacts=artifacts,
            regions=regions,
            **fields,
        )
        files = [("mask", _upload("mask", mask)) for mask in masks]
        if image is not None:
            files.insert(0, ("image", _upload("image", image)))
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        if wait_s:
            headers["Prefer"] = f"wait={wait_s}"
        answer = self._call("POST", "/v1/edits", data=data, files=files, headers=headers)
        return Edit.model_validate_json(answer.content)

    def get(self, edit_id: str) -> Edit:
        """The edit as it stands."""
        return Edit.model_validate_json(self._call("GET", f"/v1/edits/{edit_id}").content)

    def watch(self, edit_id: str) -> Iterator[Edit]:
        """The edit each time it has changed, the last time when it is finished."""
        tag = ""
        while True:
            answer = self._call("GET", f"/v1/edits/{edit_id}", headers={"If-None-Match": tag})
            if answer.status_code != httpx.codes.NOT_MODIFIED:
                tag = answer.headers["etag"]
                edit = Edit.model_validate_json(answer.content)
                yield edit
                if edit.finished:
                    return
            time.sleep(min(POLL_S, _retry_after_s(answer) or POLL_S))

    def wait(self, edit_id: str, on_change: Callable[[Edit], None] = lambda _: None) -> Edit:
        """Wait until the edit is finished; ``on_change`` sees it each time it has changed."""
        for edit in self.watch(edit_id):
            on_change(edit)
        return edit

    def result(self, edit_id: str, number: int = 0) -> bytes:
        """The bytes of a result. Raises ServiceError (409: not ready or failed, 410: expired)."""
        return self._fetch(f"/v1/edits/{edit_id}/result/{number}")

    def artifact(self, edit_id: str, name: str) -> bytes:
        """The bytes of an artifact."""
        return self._fetch(f"/v1/edits/{edit_id}/artifacts/{name}")

    def fetch(self, href: str) -> bytes:
        """The bytes of a file by the ``href`` that the edit names."""
        return self._fetch(href)

    def cancel(self, edit_id: str) -> Edit:
        """Ask for the edit to stop. Raises ServiceError (409) if it has finished."""
        return Edit.model_validate_json(self._call("PUT", f"/v1/edits/{edit_id}/cancel").content)

    def delete(self, edit_id: str) -> None:
        """Remove the edit and all its pictures."""
        self._call("DELETE", f"/v1/edits/{edit_id}")

    def list(self, *, state: State | None = None, limit: int = 20, cursor: str | None = None) -> Page:
        """A page of your edits, newest first."""
        asked = {"state": state, "limit": limit, "cursor": cursor}
        params = {name: value for name, value in asked.items() if value is not None}
        return Page.model_validate_json(self._call("GET", "/v1/edits", params=params).content)

    def models(self) -> tuple[Model, ...]:
        """The models that can be asked for."""
        return tuple(Model.model_validate(each) for each in self._call("GET", "/v1/models").json()["models"])

    def _fetch(self, path: str) -> bytes:
        # Where the service sends its callers to its storage; httpx leaves the key behind on the way there.
        return self._call("GET", path, follow_redirects=True).content

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        response = self._http.request(method, path, **options)
        if response.is_error:
            raise ServiceError(_problem(response), _retry_after_s(response))
        return response


def form_data(**fields: Any) -> dict[str, str | list[str]]:
    """The text fields of `POST /v1/edits`: mappings and `regions` as JSON, sequences repeated, None left out."""
    data: dict[str, str | list[str]] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping) or (name == "regions" and value is not None):
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


def _problem(response: httpx.Response) -> Problem:
    if response.headers.get("content-type", "").startswith("application/problem+json"):
        return Problem.model_validate_json(response.content)
    # Something in between (a proxy) answered.
    return Problem(
        title=response.reason_phrase, status=response.status_code, detail=response.text[:200], code="not_the_service"
    )


def _retry_after_s(response: httpx.Response) -> float | None:
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdigit() else None
