"""The client for asyncio: calls as `Client` makes them, and edits followed by server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
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


class AsyncClient:
    """Calls one service. Tasks of one event loop can share it; an async context manager."""

    def __init__(self, server: str, *, key: str | None = None, timeout_s: float = 60.0, retries: int = RETRIES) -> None:
        """``key``: the API key, if the service requires one; ``retries``: number of retries with back-off, after no
        response or one that asks to retry."""
        self._retries = retries
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.AsyncClient(base_url=server.rstrip("/"), headers=headers, timeout=timeout_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def submit(
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
        """Submit an edit; arguments and errors are those of `Client.submit`."""
        # Files are read in a thread: a slow disk must not block the loop.
        call = await asyncio.to_thread(
            submission,
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
        return edit_of(await self._make(call))

    async def find_mask(
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
        """Find a mask and wait for it; arguments and errors are those of `Client.find_mask`."""
        call = mask_submission(
            image,
            points=points,
            box=box,
            words=words,
            idempotency_key=idempotency_key,
            wait_s=wait_s,
            **fields,
        )
        answer = await self._make(call)
        while not (mask := mask_of(answer)).finished:
            await asyncio.sleep(look_pause_s(answer))
            answer = await self._call("GET", f"/v1/masks/{mask.id}")
        return found_mask(mask)

    async def get(self, edit_id: str) -> Edit:
        """The edit as it stands."""
        return edit_of(await self._call("GET", f"/v1/edits/{edit_id}"))

    async def stream(self, edit_id: str, *, on_preview: Callable[[Preview], None] | None = None) -> AsyncIterator[Edit]:
        """Yield the edit each time it changes, the last time when it is finished.

        A stream that is interrupted or temporarily refused (429, 503) is resumed.

        ``on_preview`` is called with previews of the running edit, about once a second.

        No event is sent when other edits change a queued one's position and estimate: call `get`.

        Raises:
            ServiceError: there is no such edit, or it was deleted meanwhile (404); or the service did not respond
                within the client's retries.
        """
        latest, seen, failures = await self.get(edit_id), "", 0
        yield latest
        while not latest.finished:
            pause_s = REOPEN_S
            try:
                async for event in self._events(edit_id, seen, previews=on_preview is not None):
                    seen, failures = event.id or seen, 0
                    if on_preview is not None and (preview := preview_of(event)) is not None:
                        on_preview(preview)
                    if event.event == "deleted":
                        # `get` raises the service's own error.
                        latest = await self.get(edit_id)
                    elif (newer := after(latest, event)) != latest:
                        latest = newer
                        yield latest
                if latest.finished:
                    return
            except (httpx.TransportError, Refused) as error:
                failures += 1
                pause_s = pause_before_reopening(failures, self._retries, error)
            # The stream ended, broke off or did not begin: the end may have come in between.
            await asyncio.sleep(pause_s)
            latest = await self.get(edit_id)
            if latest.finished:
                yield latest

    async def wait(self, edit_id: str, *, timeout_s: float | None = None, raise_on_failure: bool = False) -> Edit:
        """Wait until the edit is finished; arguments and errors are those of `Client.wait`."""
        scope = asyncio.timeout(timeout_s)
        try:
            async with scope:
                async for edit in self.stream(edit_id):
                    latest = edit
        except TimeoutError as error:
            # Not raised here: leave it to the caller.
            raise (too_late(edit_id, timeout_s) if scope.expired() else error) from error
        return ended(latest, raise_on_failure=raise_on_failure)

    async def cancel(self, edit_id: str) -> Edit:
        """Cancel the edit. Raises ServiceError (409) if it has finished."""
        return edit_of(await self._call("PUT", f"/v1/edits/{edit_id}/cancel"))

    async def delete(self, edit_id: str) -> None:
        """Delete the edit and all its pictures. Raises ServiceError (404) if the first attempt finds none."""
        await self._call("DELETE", f"/v1/edits/{edit_id}")

    async def list(self, *, state: State | None = None, limit: int = 20, cursor: str | None = None) -> Page:
        """A page of your edits, newest first."""
        return Page.model_validate_json((await self._make(listing(state, limit, cursor))).content)

    async def models(self) -> tuple[Model, ...]:
        """The available models."""
        return tuple(Model.model_validate(each) for each in (await self._call("GET", "/v1/models")).json()["models"])

    async def preview(self, edit_id: str) -> Preview | None:
        """The latest preview of a running edit; None: not available."""
        return preview_in(await self._make(Call("GET", f"/v1/edits/{edit_id}/preview", reads_refusals=True)))

    async def result(self, edit_id: str, number: int = 0) -> bytes:
        """The bytes of a result. Raises ServiceError (409: not ready or failed, 410: expired)."""
        return await self._fetch(f"/v1/edits/{edit_id}/result/{number}")

    async def artifact(self, edit_id: str, name: str) -> bytes:
        """The bytes of an artifact."""
        return await self._fetch(f"/v1/edits/{edit_id}/artifacts/{name}")

    async def download(self, edit: Edit, path: str | Path, number: int = 0) -> Path:
        """Save a result of a succeeded edit as ``path``, completely or not at all; returns the path.

        Raises:
            ServiceError: it is not available.
            DamagedFile: its checksum differs from the edit's.
        """
        target = Path(path)
        data = await self.result(edit.id, number)
        await asyncio.to_thread(save, data, edit, number, target)
        return target

    async def _events(self, edit_id: str, seen: str, *, previews: bool) -> AsyncIterator[ServerSentEvent]:
        path, headers, timeout = opening(edit_id, seen, self._http.timeout, previews=previews)
        async with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
            if response.is_error:
                await response.aread()
                raise Refused(response)
            yield OPEN
            # 204: nothing more will happen.
            if response.status_code != httpx.codes.NO_CONTENT:
                async for event in EventSource(response).aiter_sse():
                    yield event

    async def _fetch(self, path: str) -> bytes:
        # The service may redirect to its storage; httpx does not send the key there.
        return (await self._call("GET", path, follow_redirects=True)).content

    async def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        return await self._make(Call(method, path, options))

    async def _make(self, call: Call) -> httpx.Response:
        attempt = 0
        while True:
            attempt += 1
            try:
                response = await self._http.request(call.method, call.path, **call.options)
            except httpx.TransportError as error:
                pause_s = pause_before_retry(attempt, self._retries, error)
                if pause_s is None:
                    raise
            else:
                pause_s = pause_before_retry(attempt, self._retries, response)
                if pause_s is None:
                    return outcome_of(call, attempt, response)
            await asyncio.sleep(pause_s)
