"""Errors of storage, queue and records. Errors of an edit itself: `magedit.errors`.

    JobError
    ├── JobNotFound          no such edit, or another tenant's
    ├── JobConflict          the edit's state does not allow it
    │   ├── JobNotReady      no result yet
    │   ├── JobNotSucceeded  finished without a result
    │   └── AlreadyFinished  too late to cancel
    ├── RecordUnreadable     another version of this program wrote its record, or it is damaged
    ├── JobExpired           its results are no longer kept
    ├── ObjectNotFound       storage has no such object
    ├── TooManyUnfinished    the tenant is at its limit of unfinished edits
    ├── QuotaExhausted       the tenant has used up its monthly quota
    ├── KeyInUse             a request with this Idempotency-Key is in progress
    ├── KeyReused            the Idempotency-Key belongs to another payload
    ├── UnknownModel         no worker has ever served this model
    ├── WebhookRefused       this webhook_url is not allowed
    ├── ContentWithheld      the checkpoint's safety checker flagged the result
    └── Unavailable          try again later
        ├── QueueFull            too many unfinished edits
        ├── NoWorkerForModel     no live worker has this model loaded
        ├── QueueUnavailable     Redis is away
        └── StoreUnavailable     object storage is away

`code` is stable: callers may switch on it. `field` names the offending parameter, if there is one.
"""

from __future__ import annotations

from typing import ClassVar


class JobError(Exception):
    """Base of the tree. ``code`` is a stable identifier, ``field`` the offending parameter (or None)."""

    code: ClassVar[str] = "job_error"
    field: ClassVar[str | None] = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class JobNotFound(JobError):
    """No edit has this id, or it belongs to another tenant (indistinguishable to the caller)."""

    code = "not_found"


class JobConflict(JobError):
    """The edit's state does not allow the requested operation."""

    code = "conflict"


class JobNotReady(JobConflict):
    """The edit has not finished: there is no result yet; ``retry_after_s``: when to ask again, in seconds."""

    code = "not_ready"
    retry_after_s = 1


class JobNotSucceeded(JobConflict):
    """The edit failed or was canceled: there will be no result."""

    code = "not_succeeded"


class AlreadyFinished(JobConflict):
    """The edit has finished: it can no longer be canceled."""

    code = "already_finished"


class RecordUnreadable(JobError):
    """The edit's record was written by another version of this program, or is damaged: it can only be
    viewed, canceled and deleted."""

    code = "record_unreadable"


class JobExpired(JobError):
    """The edit's results were kept until `expires_at` and are gone."""

    code = "expired"


class ObjectNotFound(JobError):
    """Object storage has nothing under this key."""

    code = "object_not_found"


class TooManyUnfinished(JobError):
    """The tenant is at its limit of unfinished edits; ``retry_after_s``: when to try again, in seconds."""

    code = "too_many_unfinished"
    retry_after_s = 10


class QuotaExhausted(JobError):
    """The tenant has used up its monthly quota."""

    code = "quota_exhausted"


class KeyInUse(JobError):
    """The first request with this Idempotency-Key is in progress; ``retry_after_s``: when to ask again, in seconds."""

    code = "idempotency_key_in_use"
    field = "Idempotency-Key"

    def __init__(
        self,
        message: str = "a request with this key is being accepted; send it again in a moment",
        *,
        retry_after_s: int = 1,
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class KeyReused(JobError):
    """The Idempotency-Key was sent with another payload before."""

    code = "idempotency_key_reused"
    field = "Idempotency-Key"

    def __init__(self, message: str = "this key was sent with another payload before; use a new one") -> None:
        super().__init__(message)


class UnknownModel(JobError):
    """No worker has ever offered a model of this name."""

    code = "unknown_model"
    field = "model"


class WebhookRefused(JobError):
    """Webhooks are not sent to addresses like this `webhook_url`."""

    code = "webhook_refused"
    field = "webhook_url"


class ContentWithheld(JobError):
    """The checkpoint's safety checker flagged the result, and the settings withhold flagged results."""

    code = "content_withheld"

    def __init__(self, message: str = "the model's safety checker flagged the result, so it was not kept") -> None:
        super().__init__(message)


class Unavailable(JobError):
    """Nothing is wrong with the request; ``retry_after_s`` says when to try again, in seconds."""

    code = "unavailable"
    retry_after_s: ClassVar[int] = 5


class QueueFull(Unavailable):
    """The number of unfinished edits is at the settings' limit."""

    code = "queue_full"
    retry_after_s = 30


class NoWorkerForModel(Unavailable):
    """The model is known, but no live worker has it loaded."""

    code = "no_worker"
    field = "model"
    retry_after_s = 30


class QueueUnavailable(Unavailable):
    """Redis is away: nothing can be accepted or looked up."""

    code = "queue_unavailable"


class StoreUnavailable(Unavailable):
    """Object storage is away: nothing can be stored or read."""

    code = "storage_unavailable"
