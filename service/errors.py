"""Errors of an HTTP request, beside those of `magedit.errors` and `jobs.errors`.

RequestError                 the request itself; ``field`` names the form field or parameter
├── UploadTooLarge           a part or the body has more bytes than the setting allows
├── ImageTooLarge            more pixels, or a longer side, than the setting allows
├── UnsupportedImageType     the bytes are no PNG, JPEG or WebP
├── UnreadableImage          PNG, JPEG or WebP by its first bytes, but damaged or cut off
├── ImageTooCostly           made so that decoding it takes far longer than its size says
├── UnsupportedBody          the request body is no multipart form, or compressed
├── MalformedForm            the multipart form is cut off, or a part of it cannot be read
├── UnknownField             a form field or query parameter that there is not
├── NoSuchFile               the edit has no result or artifact of this number or name
├── NoPreview                the edit has no preview (yet, or any more)
├── NoWebhook                the edit was submitted without a webhook_url
├── NoKey                    no API key was sent
├── InvalidKey               the API key is unknown, revoked or expired, or not the form of one
├── ForeignHost              asked by a name that is not this machine's, where no key is asked for
├── ForeignOrigin            a page from elsewhere wants to change something, likewise
├── ScopeMissing             the API key may not do this
├── InvalidIdempotencyKey    the Idempotency-Key header is not the form of one
├── RateLimited              more requests in a short time than the tenant may send
├── Busy                     too many uploads are being taken in
├── EditFailed               asked for the result of an edit that failed: its own problem is the answer
├── NotFinishedInTime        the edit of a call that waits for it is still under way
└── NotReady                 Redis or storage is away (`/readyz`), or every worker (`/readyz/workers`)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from jobs.schema import FieldError, Problem


class RequestError(Exception):
    """Base of the tree. ``code`` is stable, ``field`` is the parameter to blame, ``headers`` go out with the answer."""

    code: ClassVar[str] = "request_error"
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class UploadTooLarge(RequestError):
    """More bytes than `max_upload_bytes` (one part) or `max_body_bytes` (all of them)."""

    code = "upload_too_large"


class ImageTooLarge(RequestError):
    """More pixels than `max_pixels`, or a side longer than `max_side`; found before anything is decoded."""

    code = "image_too_large"


class UnsupportedImageType(RequestError):
    """The part is no PNG, JPEG or WebP."""

    code = "unsupported_image_type"


class UnreadableImage(RequestError):
    """The part begins like a PNG, JPEG or WebP but cannot be decoded."""

    code = "image_unreadable"


class ImageTooCostly(RequestError):
    """A picture within all limits whose decoding would take, or has taken, far too long."""

    code = "image_too_costly"


class UnsupportedBody(RequestError):
    """The request body is not `multipart/form-data`, or it is compressed."""

    code = "unsupported_media_type"


class MalformedForm(RequestError):
    """The body is no whole multipart form; ``field`` is the part that cannot be read."""

    code = "malformed_request"


class UnknownField(RequestError):
    """A form field or query parameter with a name that none has; most often a spelling mistake."""

    code = "unknown_field"


class NoSuchFile(RequestError):
    """The edit exists, but has no result of this number or no artifact of this name."""

    code = "no_such_file"


class NoPreview(RequestError):
    """The edit exists, but there is no preview of it: it waits, has just begun, or has ended."""

    code = "no_preview"
    headers = MappingProxyType({"Retry-After": "1"})


class NoWebhook(RequestError):
    """The edit exists, but nobody is told of its end."""

    code = "no_webhook"


class NoKey(RequestError):
    """The address needs an API key and none was sent. RFC 6750, 3.1: no error code in the challenge then."""

    code = "not_authenticated"
    headers = MappingProxyType({"WWW-Authenticate": 'Bearer realm="magedit"'})

    def __init__(self, message: str = "send an API key: `Authorization: Bearer mge_...`") -> None:
        super().__init__(message)


class InvalidKey(RequestError):
    """The API key opens nothing. Which of the reasons it is, is not said."""

    code = "invalid_token"
    headers = MappingProxyType({"WWW-Authenticate": 'Bearer realm="magedit", error="invalid_token"'})

    def __init__(self, message: str = "the API key is unknown, revoked or expired") -> None:
        super().__init__(message)


class ForeignHost(RequestError):
    """The service is for its own machine, and was asked by a name that may be anybody's. RFC 9110, 15.5.20."""

    code = "foreign_host"


class ForeignOrigin(RequestError):
    """The service asks for no key, and a page that is not its own made a browser send this."""

    code = "foreign_origin"


class ScopeMissing(RequestError):
    """The API key is valid, but may not do this; ``scope`` is what it lacks."""

    code = "insufficient_scope"

    def __init__(self, scope: str) -> None:
        super().__init__(f"this needs an API key with the scope {scope}")
        self.headers = {"WWW-Authenticate": f'Bearer realm="magedit", error="insufficient_scope", scope="{scope}"'}


class InvalidIdempotencyKey(RequestError):
    """The `Idempotency-Key` header is no key."""

    code = "invalid_idempotency_key"


class RateLimited(RequestError):
    """The tenant has used up one of its rates; ``retry_after_s`` says when it allows one more, in seconds."""

    code = "rate_limited"

    def __init__(
        self, message: str, *, retry_after_s: int = 1, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        super().__init__(message)
        self.headers = {**headers, "Retry-After": str(retry_after_s)}


class Busy(RequestError):
    """As many uploads are being taken in as may be at a time, and none of them comes to an end."""

    code = "busy"
    headers = MappingProxyType({"Retry-After": "5"})


class EditFailed(RequestError):
    """There is no result because the edit failed; ``problem`` says why and gives the answer its code and detail."""

    code = "edit_failed"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class NotFinishedInTime(RequestError):
    """A call that answers with results has waited as long as it may; the edit goes on, and ``headers`` name it."""

    code = "not_finished_in_time"

    def __init__(self, message: str, *, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(message)
        self.headers = headers


class NotReady(RequestError):
    """The service cannot do its work; ``reasons`` name every part that is away."""

    code = "service_not_ready"
    headers = MappingProxyType({"Retry-After": "5"})

    def __init__(self, reasons: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{reason.field}: {reason.message}" for reason in reasons))
        self.reasons = tuple(reasons)
