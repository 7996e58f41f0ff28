"""The synchronous client."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from httpx_sse import EventSource, ServerSentEvent

from .calls import (
    RETRIES,
    Call,
    Picture,
    edit_of,
    ended,
    found_mask,
    listing,
    look_pause_s,
    mask_of,
    mask_submission,
    outcome_of,
    pause_before_retry,
    preview_in,
    save,
    submission,
    too_late,
)
from .events import OPEN, REOPEN_S, Refused, after, opening, pause_before_reopening, preview_of
from .models import Edit, Mask, Model, Page, Preview, State


class Client:
    """Calls one service. Safe to share between threads; a context manager that closes its connections."""

    def __init__(self, server: str, *, key: str | None = None, timeout_s: float = 60.0, retries: int = RETRIES) -> None:
        """``key``: the API key, if the service requires one; ``retries``: number of retries with back-off, after no
        response or one that asks to retry."""
        self._retries = retries
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
        masks: Sequence[Picture] = (),
        *,
        source_prompt: str | None = None,
        target_prompt: str | None = None,
        instruction: str | None = None,
        words: Sequence[str] = (),
        regions: Sequence[Mapping[str, Any]] | None = None,
        mask_shapes: Sequence[Mapping[str, Any]] | None = None,
        artifacts: Sequence[str] = (),
        idempotency_key: str | None = None,
        wait_s: int = 0,
        **fields: object,
    ) -> Edit:
        """Submit an edit.

        With an ``idempotency_key`` of your own, another process can repeat the call and gets the same edit. ``wait_s``
        asks the service to respond once the edit is finished, or after this many seconds; keep it below the client's
        timeout. ``fields`` are any further form fields of `POST /v1/edits`; None leaves one out.

        ``masks`` are pictures; ``mask_shapes`` are masks as data, one mapping per region, which replace or refer to
        them. An ``instruction`` replaces missing prompts and masks. Without ``image`` the field ``source_edit`` names
        the edit whose result is edited further.

        Raises:
            ServiceError: it was rejected; nothing was stored.
        """
        call = submission(
            image,
            masks,
            idempotency_key=idempotency_key,
            wait_s=wait_s,
            source_prompt=source_prompt,
            target_prompt=target_prompt,
            instruction=instruction,
            words=words,
            regions=regions,
            mask_shapes=mask_shapes,
            artifacts=artifacts,
            **fields,
        )
        return edit_of(self._make(call))

    def find_mask(
        self,
        image: Picture | None,
        *,
        points: Sequence[Sequence[float]] = (),
        box: Sequence[float] | None = None,
        words: str | None = None,
        idempotency_key: str | None = None,
        wait_s: int = 20,
        **fields: object,
    ) -> Mask:
        """Find a mask and wait for it.

        Args:
            image: the picture; None: ``source_edit`` names an edit whose result is the picture.
            points: clicks, each x, y and label: 1 on the object, 0 off it.
            box: x, y, width and height around the object.
            words: the object, in place of points and box.
            idempotency_key: as for `submit`.
            wait_s: how long one request waits, in seconds; keep it below the client's timeout.
            fields: any further form fields of `POST /v1/masks`.

        Raises:
            ServiceError: it was rejected, or nothing was found; the problem says why.
        """
        call = mask_submission(
            image,
            points=points,
            box=box,
            words=words,
            idempotency_key=idempotency_key,
            wait_s=wait_s,
            **fields,
        )
        answer = self._make(call)
        while not (mask := mask_of(answer)).finished:
            time.sleep(look_pause_s(answer))
            answer = self._call("GET", f"/v1/masks/{mask.id}")
        return found_mask(mask)

    def get(self, edit_id: str) -> Edit:
        """The edit as it stands."""
        return edit_of(self._call("GET", f"/v1/edits/{edit_id}"))

    def watch(self, edit_id: str) -> Iterator[Edit]:
        """Yield the edit each time it changes, the last time when it is finished; polls twice a second."""
        return self._looks(edit_id, deadline=None)

    def _looks(self, edit_id: str, *, deadline: float | None) -> Iterator[Edit]:
        """As `watch`. Raises TimeoutError at ``deadline``, by the monotonic clock."""
        tag = ""
        while True:
            call = Call("GET", f"/v1/edits/{edit_id}", {"headers": {"If-None-Match": tag}})
            answer = self._make(call, deadline=deadline)
            if answer.status_code != httpx.codes.NOT_MODIFIED:
                tag = answer.headers["etag"]
                edit = edit_of(answer)
                yield edit
                if edit.finished:
                    return
            time.sleep(min(look_pause_s(answer), _left_s(deadline)))

    def stream(self, edit_id: str, *, on_preview: Callable[[Preview], None] | None = None) -> Iterator[Edit]:
        """Yield the edit each time it changes, the last time when it is finished, from the service's events.

        A stream that is interrupted or temporarily refused (429, 503) is resumed.

        ``on_preview`` is called with previews of the running edit, about once a second.

        No event is sent when other edits change a queued one's position and estimate: use `watch`.

        Raises:
            ServiceError: there is no such edit, or it was deleted meanwhile (404); or the service did not respond
                within the client's retries.
        """
        latest, seen, failures = self.get(edit_id), "", 0
        yield latest
        while not latest.finished:
            pause_s = REOPEN_S
            try:
                for event in self._events(edit_id, seen, previews=on_preview is not None):
                    seen, failures = event.id or seen, 0
                    if on_preview is not None and (preview := preview_of(event)) is not None:
                        on_preview(preview)
                    if event.event == "deleted":
                        # `get` raises the service's own error.
                        latest = self.get(edit_id)
                    elif (newer := after(latest, event)) != latest:
                        latest = newer
                        yield latest
                if latest.finished:
                    return
            except (httpx.TransportError, Refused) as error:
                failures += 1
                pause_s = pause_before_reopening(failures, self._retries, error)
            # The stream ended, broke off or did not begin: the end may have come in between.
            time.sleep(pause_s)
            latest = self.get(edit_id)
            if latest.finished:
                yield latest

    def wait(
        self,
        edit_id: str,
        on_change: Callable[[Edit], None] = lambda _: None,
        *,
        timeout_s: float | None = None,
        raise_on_failure: bool = False,
    ) -> Edit:
        """Wait until the edit is finished; ``on_change`` is called each time it changes.

        Args:
            timeout_s: longest wait in seconds; None: no limit. raise_on_failure: raise if it failed or was canceled,
                instead of returning it.

        Raises:
            TimeoutError: it has not finished in time; it keeps running.
            EditNotSucceeded: see ``raise_on_failure``.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            for edit in self._looks(edit_id, deadline=deadline):
                on_change(edit)
        except TimeoutError as error:
            raise too_late(edit_id, timeout_s) from error
        return ended(edit, raise_on_failure=raise_on_failure)

    def preview(self, edit_id: str) -> Preview | None:
        """The latest preview of a running edit; None: not available."""
        return preview_in(self._make(Call("GET", f"/v1/edits/{edit_id}/preview", reads_refusals=True)))

    def result(self, edit_id: str, number: int = 0) -> bytes:
        """The bytes of a result. Raises ServiceError (409: not ready or failed, 410: expired)."""
        return self._fetch(f"/v1/edits/{edit_id}/result/{number}")

    def artifact(self, edit_id: str, name: str) -> bytes:
        """The bytes of an artifact."""
        return self._fetch(f"/v1/edits/{edit_id}/artifacts/{name}")

    def download(self, edit: Edit, path: str | Path, number: int = 0) -> Path:
        """Save a result of a succeeded edit as ``path``, completely or not at all; returns the path.

        Raises:
            ServiceError: it is not available.
            DamagedFile: its checksum differs from the edit's.
        """
        target = Path(path)
        save(self.result(edit.id, number), edit, number, target)
        return target

    def fetch(self, href: str) -> bytes:
        """The bytes of a file by its ``href`` in the edit."""
        return self._fetch(href)

    def cancel(self, edit_id: str) -> Edit:
        """Cancel the edit. Raises ServiceError (409) if it has finished."""
        return edit_of(self._call("PUT", f"/v1/edits/{edit_id}/cancel"))

    def delete(self, edit_id: str) -> None:
        """Delete the edit and all its pictures. Raises ServiceError (404) if the first attempt finds none."""
        self._call("DELETE", f"/v1/edits/{edit_id}")

    def list(self, *, state: State | None = None, limit: int = 20, cursor: str | None = None) -> Page:
        """A page of your edits, newest first."""
        return Page.model_validate_json(self._make(listing(state, limit, cursor)).content)

    def models(self) -> tuple[Model, ...]:
        """The available models."""
        return tuple(Model.model_validate(each) for each in self._call("GET", "/v1/models").json()["models"])

    def _events(self, edit_id: str, seen: str, *, previews: bool) -> Iterator[ServerSentEvent]:
        path, headers, timeout = opening(edit_id, seen, self._http.timeout, previews=previews)
        with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
            if response.is_error:
                response.read()
                raise Refused(response)
            yield OPEN
            # 204: nothing more will happen.
            if response.status_code != httpx.codes.NO_CONTENT:
                yield from EventSource(response).iter_sse()

    def _fetch(self, path: str) -> bytes:
        # The service may redirect to its storage; httpx does not send the key there.
        return self._call("GET", path, follow_redirects=True).content

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._make(Call(method, path, options))

    def _make(self, call: Call, *, deadline: float | None = None) -> httpx.Response:
        """The final response. Raises TimeoutError at ``deadline`` (monotonic clock)."""
        attempt = 0
        while True:
            attempt += 1
            options = dict(call.options)
            if deadline is not None:
                own = self._http.timeout.read
                options["timeout"] = min(_left_s(deadline), math.inf if own is None else own)
            try:
                response = self._http.request(call.method, call.path, **options)
            except httpx.TransportError as error:
                _left_s(deadline)
                pause_s = pause_before_retry(attempt, self._retries, error)
                if pause_s is None:
                    raise
            else:
                pause_s = pause_before_retry(attempt, self._retries, response)
                if pause_s is None:
                    return outcome_of(call, attempt, response)
            time.sleep(min(pause_s, _left_s(deadline)))


def _left_s(deadline: float | None) -> float:
    """The seconds until ``deadline``. Raises TimeoutError if it has passed."""
    if deadline is None:
        return math.inf
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s
