"""The callers: they submit through any front end, cancel some, look at all, and fetch every picture.

Half of the submits have an `Idempotency-Key`: they are sent again, to any front end, until one accepts them, and some
once more after that. The others are sent once: one whose answer was lost, or that was refused because Redis is away,
may or may not have been recorded, and is counted as unknown. A marker (`marked`) tells whose a record is in the
end. Only 202 counts as accepted, and is on the disk before anything else happens.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from jobs.schema import State
from tests.e2e.conftest import PROMPTS
from tests.jobs.conftest import png
from tests.soak.evidence.checker import MARKER_SCALE
from tests.soak.evidence.journal import Journal, Line
from tests.soak.pictures import VARIANTS, mask, picture

TIMEOUT_S = 12.0
"""How long a caller waits for an answer, in seconds."""

SUBMITTERS = 2
CANCEL_WITHIN_S = 4.0
"""A cancel comes so soon after the acceptance at most, in seconds."""

KEYED_SHARE = 0.5
"""Share of submits with an `Idempotency-Key`."""
REPEAT_SHARE = 0.3
"""Share of those that are sent once more although they were accepted."""
RETRY_PAUSE_S = 0.3

POLL_PAUSE_S = 0.12
FETCH_SHARE = 0.1
"""Share of looks at edits that have succeeded that fetch a picture although it was fetched before."""
LOOK_AGAIN_SHARE = 0.1
"""Share of looks that go to finished edits, which must not have changed."""

MARKERS_A_RUN = 1_000_000


def marked(marker: int) -> dict[str, float]:
    """A field that carries the marker and has no effect on the edit: the learning rate of another inversion's."""
    return {"null_text_learning_rate": marker / MARKER_SCALE}


NO_WORKER = "no_worker"
"""Code that no answer has here: the model is declared, and takes edits without a worker."""

JPEG = b"\xff\xd8"


@dataclass
class Known:
    """What the callers know of an accepted edit."""

    seen: tuple[Any, ...] = ()
    terminal: bool = False
    fetched: bool = False
    """Whether its picture came, or was told to have expired."""
    cancel_at: float | None = None


class Load:
    """Threads that use the service until `stop`. ``allowed`` says how many edits may be accepted by now."""

    def __init__(
        self, urls: list[str], journal: Journal, *, run: int, seed: int, cancel_share: float, max_open: int
    ) -> None:
        self._urls, self._journal = urls, journal
        self._cancel_share, self._max_open = cancel_share, max_open
        self._rng = random.Random(f"{seed} load {run}")
        self._lock = threading.Lock()
        self._known: dict[str, Known] = {}
        self._open: set[str] = set()
        self._marker = run * MARKERS_A_RUN
        self._stopping, self._closing = threading.Event(), threading.Event()
        self._submitters = [threading.Thread(target=self._submit_all, daemon=True) for _ in range(SUBMITTERS)]
        self._watcher = threading.Thread(target=self._watch_all, daemon=True)
        self._files = (png(picture()), png(mask()))
        self.allowed: Callable[[], int] = lambda: 0
        self.errors: list[str] = []

    @property
    def accepted(self) -> int:
        """Edits that are known to be accepted, earlier runs included."""
        with self._lock:
            return len(self._known)

    @property
    def unfinished(self) -> int:
        """Accepted edits that were not yet seen finished, their pictures with them."""
        with self._lock:
            return len(self._open)

    def remember(self, lines: list[Line]) -> None:
        """Take over what earlier runs' journals know."""
        for line in lines:
            if line["what"] == "accepted":
                self._known[line["id"]] = Known()
                self._open.add(line["id"])
            elif line["what"] == "fetched" and line["good"]:
                self._known[line["id"]].fetched = True

    def start(self) -> None:
        """Begin."""
        for thread in (*self._submitters, self._watcher):
            thread.start()

    def stop(self) -> None:
        """Submit no more; looking goes on."""
        self._stopping.set()
        for thread in self._submitters:
            thread.join(3 * TIMEOUT_S)

    def close(self) -> None:
        """Look no more."""
        self._stopping.set()
        self._closing.set()
        self._watcher.join(3 * TIMEOUT_S)

    def _submit_all(self) -> None:
        with httpx.Client(timeout=TIMEOUT_S) as client:
            while not self._stopping.is_set():
                if self.unfinished >= self._max_open or self.accepted >= self.allowed():
                    time.sleep(0.05)
                    continue
                with self._lock:
                    self._marker += 1
                    marker, url = self._marker, self._rng.choice(self._urls)
                    name = self._rng.choice(sorted(VARIANTS))
                    cancel_in = self._rng.uniform(0, CANCEL_WITHIN_S)
                    cancels = self._rng.random() < self._cancel_share
                    keyed = self._rng.random() < KEYED_SHARE
                    repeats = self._rng.random() < REPEAT_SHARE
                cancel_after = cancel_in if cancels else None
                if not keyed:
                    self._submit(client, url, marker, name, cancel_after)
                elif self._submit_until_accepted(client, marker, name, cancel_after) and repeats:
                    self._repeat(client, marker, name)

    def _post(self, client: httpx.Client, url: str, marker: int, variant: str, *, keyed: bool) -> httpx.Response:
        self._journal.write("sent", marker=marker, variant=variant, keyed=keyed)
        files = [("image", ("i.png", self._files[0])), ("mask", ("m.png", self._files[1]))]
        fields = {**PROMPTS, **VARIANTS[variant], **marked(marker)}
        headers = {"Idempotency-Key": f"marker-{marker}"} if keyed else {}
        return client.post(f"{url}/v1/edits", data=fields, files=files, headers=headers)

    def _accepted(self, answer: httpx.Response, marker: int, variant: str, cancel_in: float | None) -> None:
        edit_id = answer.json()["id"]
        self._journal.write("accepted", id=edit_id, marker=marker, variant=variant)
        with self._lock:
            cancel_at = None if cancel_in is None else time.monotonic() + cancel_in
            self._known[edit_id] = Known(cancel_at=cancel_at)
            self._open.add(edit_id)

    def _submit(self, client: httpx.Client, url: str, marker: int, variant: str, cancel_in: float | None) -> None:
        try:
            answer = self._post(client, url, marker, variant, keyed=False)
        except httpx.TransportError as error:
            # Nothing was sent on a connection that was never made.
            what = "refused" if isinstance(error, httpx.ConnectError) else "unknown"
            self._journal.write(what, marker=marker, why=type(error).__name__)
            time.sleep(RETRY_PAUSE_S)
            return
        if answer.status_code == httpx.codes.ACCEPTED:
            self._accepted(answer, marker, variant, cancel_in)
        elif answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and answer.json()["code"] != NO_WORKER:
            code = answer.json()["code"]
            self._journal.write("unknown" if code == "queue_unavailable" else "refused", marker=marker, why=code)
            time.sleep(RETRY_PAUSE_S)
        else:
            self._oops("submit", answer)

    def _submit_until_accepted(self, client: httpx.Client, marker: int, variant: str, cancel_in: float | None) -> bool:
        """Whether one of its requests was accepted before the load was stopped."""
        while not self._stopping.is_set():
            answer = self._try_again(client, marker, variant)
            if answer is not None and answer.status_code == httpx.codes.ACCEPTED:
                self._accepted(answer, marker, variant, cancel_in)
                return True
            time.sleep(RETRY_PAUSE_S)
        self._journal.write("unknown", marker=marker, why="stopped")
        return False

    def _repeat(self, client: httpx.Client, marker: int, variant: str) -> None:
        answer = self._try_again(client, marker, variant)
        if answer is not None and answer.status_code == httpx.codes.ACCEPTED:
            self._journal.write("repeated", marker=marker, id=answer.json()["id"])

    def _try_again(self, client: httpx.Client, marker: int, variant: str) -> httpx.Response | None:
        """One request with the marker's key; None if it got no answer."""
        with self._lock:
            url = self._rng.choice(self._urls)
        try:
            answer = self._post(client, url, marker, variant, keyed=True)
        except httpx.TransportError as error:
            self._journal.write("retried", marker=marker, why=type(error).__name__)
            return None
        if answer.status_code == httpx.codes.ACCEPTED:
            return answer
        in_use = answer.status_code == httpx.codes.CONFLICT and answer.json()["code"] == "idempotency_key_in_use"
        away = answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and answer.json()["code"] != NO_WORKER
        if in_use or away:
            self._journal.write("retried", marker=marker, why=answer.json()["code"])
        else:
            self._oops("submit", answer)
            # What must not happen is told once.
            self._stopping.set()
        return answer

    def _oops(self, what: str, answer: httpx.Response) -> None:
        """An answer that no fault explains."""
        text = f"{what}: {answer.status_code} {answer.text[:300]}"
        self.errors.append(text)
        self._journal.write("oops", detail=text)
        time.sleep(0.2)

    def _watch_all(self) -> None:
        with httpx.Client(timeout=TIMEOUT_S) as client:
            while not self._closing.is_set():
                try:
                    self._watch_one(client)
                except httpx.TransportError:
                    time.sleep(0.1)
                time.sleep(POLL_PAUSE_S)

    def _watch_one(self, client: httpx.Client) -> None:
        now = time.monotonic()
        with self._lock:
            url = self._rng.choice(self._urls)
            due = [each for each in self._open if (at := self._known[each].cancel_at) is not None and at <= now]
            again = self._rng.random() < LOOK_AGAIN_SHARE or not self._open
            pool = sorted(self._known.keys() - self._open if again else self._open)
            edit_id = due[0] if due else self._rng.choice(pool) if pool else None
            fetch = self._rng.random() < FETCH_SHARE
        if edit_id is None:
            return
        if due:
            self._cancel(client, url, edit_id)
        else:
            self._look(client, url, edit_id, fetch=fetch)

    def _cancel(self, client: httpx.Client, url: str, edit_id: str) -> None:
        # Journalled first: whether it was heard may never be known.
        self._known[edit_id].cancel_at = None
        self._journal.write("cancel", id=edit_id, status=0)
        answer = client.put(f"{url}/v1/edits/{edit_id}/cancel")
        self._journal.write("cancel", id=edit_id, status=answer.status_code)
        if answer.status_code not in {200, 202, 409, 503}:
            self._oops("cancel", answer)

    def _look(self, client: httpx.Client, url: str, edit_id: str, *, fetch: bool) -> None:
        answer = client.get(f"{url}/v1/edits/{edit_id}")
        if answer.status_code != httpx.codes.OK:
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                self._oops("look", answer)
            return
        edit = answer.json()
        hashes = [each["sha256"] for each in edit["results"]]
        finished_at = edit["timings"]["finished_at"]
        seen = (edit["state"], edit["attempt"], finished_at, hashes)
        known = self._known[edit_id]
        if seen != known.seen:
            known.seen = seen
            names = ("state", "attempt", "finished_at", "sha256")
            self._journal.write("seen", id=edit_id, **dict(zip(names, seen, strict=True)))
        state = State(edit["state"])
        if fetch:
            self._look_at_preview(client, url, edit_id, finished=state.is_terminal)
        if state.is_terminal:
            known.terminal = True
        if state is State.SUCCEEDED and (fetch or not known.fetched):
            self._fetch(client, f"{url}/v1/edits/{edit_id}/result", edit_id, hashes[0])
        if state.is_terminal and (known.fetched or state is not State.SUCCEEDED):
            with self._lock:
                self._open.discard(edit_id)

    def _look_at_preview(self, client: httpx.Client, url: str, edit_id: str, *, finished: bool) -> None:
        """A running edit may have a preview, a finished one has none."""
        answer = client.get(f"{url}/v1/edits/{edit_id}/preview")
        if answer.status_code == httpx.codes.OK and not finished:
            self._journal.write("preview", id=edit_id, good=answer.content.startswith(JPEG))
        elif answer.status_code not in {httpx.codes.NOT_FOUND, httpx.codes.SERVICE_UNAVAILABLE}:
            self._oops("preview", answer)

    def _fetch(self, client: httpx.Client, url: str, edit_id: str, sha256: str) -> None:
        answer = client.get(url)
        if answer.status_code == httpx.codes.OK:
            good = hashlib.sha256(answer.content).hexdigest() == sha256
            self._journal.write("fetched", id=edit_id, good=good)
            self._known[edit_id].fetched = True
        elif answer.status_code == httpx.codes.GONE:
            # Whether it may be gone is for the checker to say.
            self._journal.write("gone", id=edit_id)
            self._known[edit_id].fetched = True
        elif answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            self._oops("fetch", answer)
