"""Results of finished edits and masks, and their presigned URLs."""

from __future__ import annotations

from jobs.errors import JobExpired, JobNotReady, JobNotSucceeded, ObjectNotFound
from jobs.schema import JobRecord, State, StoredObject
from service.backend import Backend
from service.errors import NoSuchFile


def require_pictures(record: JobRecord, backend: Backend, *, called: str | None = None) -> None:
    """Check that the pictures are there; ``called`` is the caller's name for the edit, such as `source_edit 0190...`.

    Raises:
        JobNotReady, JobNotSucceeded, JobExpired: it has no pictures.
    """
    called = called or f"{record.kind} {record.id}"
    if not record.state.is_terminal:
        raise JobNotReady(f"{called} is {record.state}: its result is not ready, wait until it has succeeded")
    if record.state is not State.SUCCEEDED:
        raise JobNotSucceeded(f"{called} is {record.state}: it has no result")
    if record.is_expired(backend.records.now()):
        raise JobExpired(f"the pictures of {called} have expired and are no longer stored")


def require_result(
    record: JobRecord, number: int, backend: Backend, *, field: str, called: str | None = None
) -> StoredObject:
    """Result ``number``, from 0; ``field`` is the parameter that gives it, ``called`` as for `require_pictures`.

    Raises:
        JobNotReady, JobNotSucceeded, JobExpired, NoSuchFile: there is none.
    """
    require_pictures(record, backend, called=called)
    if number >= len(record.results):
        what = "candidate" if record.kind == "mask" else "result"
        raise NoSuchFile(
            f"{called or f'{record.kind} {record.id}'} has {len(record.results)} {what}(s), counted from 0", field=field
        )
    return record.results[number]


def presigned(record: JobRecord, stored: StoredObject, backend: Backend) -> str | None:
    """A presigned URL, valid until the edit expires or for the configured time; None: the store does not support them.

    Raises:
        ObjectNotFound, StoreUnavailable: the picture is missing, or the store does not respond.
    """
    seconds = backend.settings.presign_s
    if record.expires_at is not None:
        # AWS Signature Version 4 counts whole seconds, from 1.
        seconds = max(1.0, min(seconds, record.expires_at - backend.records.now()))
    address = backend.store.signed_url(stored.key, seconds)
    if address is not None and backend.store.size(stored.key) is None:
        raise ObjectNotFound("the picture is no longer in storage")
    return address
