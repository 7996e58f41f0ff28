"""Representation of records for callers, with queue position and estimate while unfinished."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.schema import AnyRecord
from service.backend import Backend
from service.edits.views import Edit, edit_view
from service.masks.views import Mask, mask_view


def view_of(record: AnyRecord, backend: Backend) -> Edit:
    """The view of one record."""
    return views_of([record], backend)[0]


def views_of(records: Sequence[AnyRecord], backend: Backend) -> tuple[Edit, ...]:
    """The views of ``records``; data for unfinished edits is fetched once, if needed."""
    if all(record.state.is_terminal for record in records):
        return tuple(edit_view(record, position=None, model=None, now=0.0) for record in records)
    models, now = backend.snapshot()
    places = zip(records, backend.queue.positions(records), strict=True)
    return tuple(
        edit_view(record, position=position, model=models.get(record.model), now=now) for record, position in places
    )


def mask_view_of(record: AnyRecord, backend: Backend) -> Mask:
    """The view of one mask's record."""
    return mask_views_of([record], backend)[0]


def mask_views_of(records: Sequence[AnyRecord], backend: Backend) -> tuple[Mask, ...]:
    """The views of masks' ``records``."""
    positions = backend.queue.positions(records)
    return tuple(mask_view(record, position=position) for record, position in zip(records, positions, strict=True))


def any_views_of(records: Sequence[AnyRecord], backend: Backend) -> dict[str, Edit | Mask]:
    """The views of edits' and masks' ``records`` by id."""
    edits = [record for record in records if record.kind == "edit"]
    masks = [record for record in records if record.kind == "mask"]
    shown: dict[str, Edit | Mask] = {view.id: view for view in views_of(edits, backend)}
    return shown | {view.id: view for view in mask_views_of(masks, backend)}


def any_view_of(record: AnyRecord, backend: Backend) -> Edit | Mask:
    """The view of an edit's or a mask's record."""
    return any_views_of([record], backend)[record.id]


def unplaced_view(record: AnyRecord) -> Edit | Mask:
    """The same without queue position and estimate, which need Redis."""
    if record.kind == "mask":
        return mask_view(record, position=None)
    return edit_view(record, position=None, model=None, now=record.created_at)
