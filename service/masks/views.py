"""Public view of a mask's record."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from jobs.schema import AnyRecord, MaskRecord, MaskRequest, Problem, State
from magedit.masks.candidates import Candidate, Finder
from service.edits.views import Timings, View, seconds_of, time_of

MASKS = "/v1/masks"


class MaskLinks(View):
    """Links, as paths on this server."""

    self: str
    events: str
    cancel: str


class MaskCandidate(Candidate):
    """One found mask, with the path of its picture."""

    number: int = Field(description="Index, from 0 (the best).")
    href: str = Field(description="Path of its picture on this server: PNG, white where it is.")
    sha256: str = Field(description="SHA-256 of the picture's bytes.")


class Mask(View):
    """The current state of a mask."""

    id: str
    state: State
    model: str
    request: MaskRequest | None = Field(description="null: the record cannot be read, see `problem`.")
    source_edit: str | None = Field(description="The edit whose result is the picture; null: the picture was uploaded.")
    source_result: int | None
    queue_position: int | None = Field(description="Number of masks ahead in the queue; 0: next.")
    attempt: int
    cancel_requested: bool
    timings: Timings
    found_by: Finder | None = Field(description="The finder; null: not found yet.")
    candidates: tuple[MaskCandidate, ...] = Field(description="At most three, best first.")
    deadline_at: datetime | None
    expires_at: datetime | None = Field(description="Expiry of a finished mask and its pictures.")
    problem: Problem | None = Field(description="Reason for its failure, or why it cannot be shown.")
    webhook_url: str | None
    links: MaskLinks


class MaskPage(View):
    """Masks, newest first."""

    masks: tuple[Mask, ...]
    next_cursor: str | None = Field(description="`cursor` of the next page; null on the last.")


def mask_path(record: AnyRecord) -> str:
    """The mask's own path."""
    return f"{MASKS}/{record.id}"


def mask_view(record: AnyRecord, *, position: int | None) -> Mask:
    """The view of ``record``; ``position`` in the queue."""
    own = record if isinstance(record, MaskRecord) else None
    path = mask_path(record)
    found = zip(own.candidates, own.results, strict=False) if own else ()
    return Mask(
        id=record.id,
        state=record.state,
        model=record.model,
        request=own.request if own else None,
        source_edit=record.source_edit,
        source_result=record.source_result,
        queue_position=position,
        attempt=record.attempt,
        cancel_requested=record.cancel_requested,
        timings=seconds_of(record),
        found_by=own.found_by if own else None,
        candidates=tuple(
            MaskCandidate(number=number, href=f"{path}/candidates/{number}", sha256=stored.sha256, **dict(candidate))
            for number, (candidate, stored) in enumerate(found)
        ),
        deadline_at=time_of(record.deadline_at),
        expires_at=time_of(record.expires_at),
        problem=record.problem,
        webhook_url=record.webhook_url,
        links=MaskLinks(self=path, events=f"{path}/events", cancel=f"{path}/cancel"),
    )
