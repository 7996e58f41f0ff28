"""Maps every error to a problem document (RFC 9457); free of the web framework.

A new error class needs one line in `KINDS`; a test walks the error trees and fails when one is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from jobs import errors as job
from jobs.schema import FieldError, Problem
from magedit import errors as edit
from magedit.config.parameters import values_of
from service import errors as request

if TYPE_CHECKING:
    from fastapi.exceptions import RequestValidationError

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:magedit:problem:"


@dataclass(frozen=True)
class Kind:
    """HTTP representation of one class of errors."""

    status: HTTPStatus
    title: str


INVALID_REQUEST = edit.InvalidParameter.code
"""Code of invalid field values."""

INVALID_TITLE = "Invalid request"

_422 = HTTPStatus.UNPROCESSABLE_ENTITY
_503 = HTTPStatus.SERVICE_UNAVAILABLE
_500 = HTTPStatus.INTERNAL_SERVER_ERROR

KINDS: Mapping[type[Exception], Kind] = MappingProxyType(
    {
        edit.InvalidEdit: Kind(_422, "The edit cannot be carried out as sent"),
        edit.InvalidParameter: Kind(_422, INVALID_TITLE),
        edit.WordNotFound: Kind(_422, "A word is not in the target prompt"),
        edit.PromptTooLong: Kind(_422, "The prompt is too long"),
        edit.PromptNotSupported: Kind(_422, "The model does not know a word of the prompt"),
        edit.MaskMismatch: Kind(_422, "Image and mask differ in size"),
        edit.EmptyMask: Kind(_422, "The mask is empty"),
        edit.InvalidPolygon: Kind(_422, "The polygon is not valid"),
        edit.InvalidBox: Kind(_422, "The box is outside the picture or empty"),
        edit.InvalidRle: Kind(_422, "The run-length encoding cannot be read"),
        edit.PointOutside: Kind(_422, "A point is outside the picture"),
        edit.NothingFound: Kind(_422, "Nothing was found"),
        edit.SeveralFound: Kind(_422, "Several things were found"),
        edit.NoFinder: Kind(_422, "The model cannot locate things by this input"),
        edit.InstructionNotUnderstood: Kind(_422, "The instruction is not understood"),
        edit.RegionMismatch: Kind(_422, "The numbers of masks and regions differ"),
        edit.UnknownMethod: Kind(_422, "Unknown method"),
        edit.NotTogether: Kind(_422, "The parameters are incompatible"),
        edit.NothingToGuide: Kind(_422, "No words to edit"),
        edit.EditHopeless: Kind(_422, "The edit was ended because it would fail"),
        edit.LanguageModelUnavailable: Kind(_503, "The language model is unavailable"),
        edit.CheckpointError: Kind(_500, "The model cannot be used"),
        edit.NoGuidanceLayers: Kind(_500, "The model cannot be guided"),
        edit.EditDiverged: Kind(_422, "The edit diverged"),
        edit.PictureNotFinite: Kind(_500, "The model produced no valid picture"),
        edit.EditCanceled: Kind(HTTPStatus.CONFLICT, "The edit was canceled"),
        job.JobNotFound: Kind(HTTPStatus.NOT_FOUND, "No such edit"),
        job.JobNotReady: Kind(HTTPStatus.CONFLICT, "The edit has not finished"),
        job.JobNotSucceeded: Kind(HTTPStatus.CONFLICT, "The edit has no result"),
        job.AlreadyFinished: Kind(HTTPStatus.CONFLICT, "The edit has already finished"),
        job.RecordUnreadable: Kind(_500, "The edit's record cannot be read"),
        job.JobExpired: Kind(HTTPStatus.GONE, "The result has expired"),
        job.ObjectNotFound: Kind(HTTPStatus.GONE, "The picture is no longer stored"),
        job.TooManyUnfinished: Kind(HTTPStatus.TOO_MANY_REQUESTS, "Too many unfinished edits"),
        job.QuotaExhausted: Kind(HTTPStatus.PAYMENT_REQUIRED, "The quota is used up"),
        job.KeyInUse: Kind(HTTPStatus.CONFLICT, "The same request is in progress"),
        job.KeyReused: Kind(_422, "The Idempotency-Key was used for another request"),
        job.UnknownModel: Kind(_422, "Unknown model"),
        job.WebhookRefused: Kind(_422, "Webhooks are not sent to this address"),
        job.ContentWithheld: Kind(_422, "The result is withheld"),
        job.QueueFull: Kind(_503, "The queue is full"),
        job.NoWorkerForModel: Kind(_503, "No worker for the model"),
        job.QueueUnavailable: Kind(_503, "The job store is unavailable"),
        job.StoreUnavailable: Kind(_503, "Object storage is unavailable"),
        request.UploadTooLarge: Kind(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The upload is too large"),
        request.ImageTooLarge: Kind(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The picture is too large"),
        request.UnsupportedImageType: Kind(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Not a PNG, JPEG or WebP picture"),
        request.UnsupportedBody: Kind(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Not a multipart form"),
        request.MalformedForm: Kind(HTTPStatus.BAD_REQUEST, "The form cannot be read"),
        request.UnreadableImage: Kind(_422, "The picture is damaged"),
        request.ImageTooCostly: Kind(_422, "The picture takes too long to decode"),
        request.UnknownField: Kind(_422, "Unknown field or parameter"),
        request.NoSuchFile: Kind(HTTPStatus.NOT_FOUND, "No such file"),
        request.NoPreview: Kind(HTTPStatus.NOT_FOUND, "There is no preview"),
        request.NoWebhook: Kind(HTTPStatus.NOT_FOUND, "The edit has no webhook"),
        request.NoKey: Kind(HTTPStatus.UNAUTHORIZED, "An API key is required"),
        request.InvalidKey: Kind(HTTPStatus.UNAUTHORIZED, "The API key is not valid"),
        request.ForeignHost: Kind(HTTPStatus.MISDIRECTED_REQUEST, "The host name is not this machine's"),
        request.ForeignOrigin: Kind(HTTPStatus.FORBIDDEN, "The request comes from a foreign page"),
        request.ScopeMissing: Kind(HTTPStatus.FORBIDDEN, "The API key may not do this"),
        request.InvalidIdempotencyKey: Kind(HTTPStatus.BAD_REQUEST, "The Idempotency-Key is not valid"),
        request.RateLimited: Kind(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests"),
        request.EditFailed: Kind(HTTPStatus.CONFLICT, "The edit failed"),
        request.NotFinishedInTime: Kind(HTTPStatus.GATEWAY_TIMEOUT, "The edit is not finished yet"),
        request.Busy: Kind(_503, "Too many uploads at a time"),
        request.NotReady: Kind(_503, "Not ready"),
    }
)
"""Status and title by class; a class without an entry uses its nearest ancestor's."""

Known = edit.MAGEditError | job.JobError | request.RequestError


def problem_of(error: Known) -> Problem:
    """The problem document of one of our errors; 500 for an error without an entry."""
    kind = next((KINDS[cls] for cls in type(error).__mro__ if cls in KINDS), Kind(_500, _500.phrase))
    if isinstance(error, request.EditFailed):
        # The caller gets the edit's own code, with the status of this response.
        code = error.problem.code
        return error.problem.model_copy(update={"status": kind.status, "type": TYPE_PREFIX + code})
    if isinstance(error, request.NotReady):
        errors = error.reasons
    else:
        values = error.values if isinstance(error, edit.MAGEditError) else {}
        errors = (FieldError(field=error.field, message=error.message, values=values),) if error.field else ()
    return make_problem(kind.status, error.code, error.message, title=kind.title, errors=errors)


def validation_problem(error: RequestValidationError) -> Problem:
    """The problem document of invalid field values."""
    errors = [
        FieldError(field=_field(each["loc"]), message=_message(each), values=values_of(each)) for each in error.errors()
    ]
    detail = "; ".join(f"`{each.field}`: {each.message}" for each in errors)
    return make_problem(_422, INVALID_REQUEST, detail, title=INVALID_TITLE, errors=errors)


_MESSAGES: Final = {
    "missing": "it is required, and was not sent",
    "tuple_type": "it must be an array: put each item in its own brackets, such as [[24, 24, 1]]",
}
"""Messages that replace pydantic's, by error type."""


def _message(error: Mapping[str, Any]) -> str:
    return _MESSAGES.get(error["type"]) or str(error["msg"])


def make_problem(
    status: HTTPStatus, code: str, detail: str, *, title: str | None = None, errors: Sequence[FieldError] = ()
) -> Problem:
    """A problem document of this service."""
    return Problem(
        type=TYPE_PREFIX + code,
        title=title or status.phrase,
        status=status,
        detail=detail,
        code=code,
        errors=tuple(errors),
    )


def _field(location: Sequence[Any]) -> str:
    """`words.0` for ("body", "words", 0): the parameter as the API spells it, then the position within it."""
    return ".".join(str(part) for part in location[1:]) or str(location[0])


# Code and detail of the framework's own error responses.
FRAMEWORK: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        400: ("malformed_request", "The request body cannot be read: it is not a complete multipart form."),
        404: ("no_such_address", "There is nothing at this address; /docs lists all addresses."),
        405: (
            "method_not_allowed",
            "This address does not support this method; the Allow header lists the supported ones.",
        ),
        408: (
            "body_too_slow",
            "The request body arrived too slowly; send it again without pauses.",
        ),
        413: ("upload_too_large", "The request body is larger than this service accepts."),
        500: ("internal_error", "This is a fault of the service; it has been logged."),
    }
)


def framework_problem(status: int) -> Problem:
    """The problem document for the framework's own error response with this status."""
    code, text = FRAMEWORK[status]
    return make_problem(HTTPStatus(status), code, text)
