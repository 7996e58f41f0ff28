"""Errors of an HTTP request, beside those of `magedit.errors` and `jobs.errors`.

RequestError                 the request itself; ``field`` names the form field or parameter
├── UploadTooLarge           a part or the body has more bytes than the setting allows
├── ImageTooLarge            more pixels, or a longer side, than the setting allows
├── UnsupportedImageType     the bytes are not PNG, JPEG or WebP
├── UnreadableImage          PNG, JPEG or WebP by its first bytes, but damaged or cut off
├── ImageTooCostly           decoding takes far longer than its size suggests
├── UnsupportedBody          the request body is not a multipart form, or is compressed
├── MalformedForm            the multipart form is cut off, or a part of it cannot be read
├── UnknownField             an unknown form field or query parameter
├── NoSuchFile               the edit has no result or artifact of this number or name
├── NoPreview                the edit has no preview (yet, or any more)
├── NoWebhook                the edit was submitted without a webhook_url
├── NoKey                    no API key was sent
├── InvalidKey               the API key is unknown, revoked, expired or malformed
├── ForeignHost              requested by a host name that is not this machine's, without API keys
├── ForeignOrigin            a foreign page requests a change, likewise
├── ScopeMissing             the API key may not do this
├── InvalidIdempotencyKey    the Idempotency-Key header is malformed
├── RateLimited              more requests in a short time than the tenant may send
├── Busy                     too many uploads are being taken in
├── EditFailed               result of a failed edit requested: the edit's problem is the response
├── NotFinishedInTime        the edit is still running at the end of the call's wait
└── NotReady                 Redis or storage is away (`/readyz`), or every worker (`/readyz/workers`)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from jobs.schema import FieldError, Problem


class RequestError(Exception):
    """Base of the tree. ``code`` is stable, ``field`` is the parameter at fault, ``headers`` are sent with the
    response."""

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
    """The part is not PNG, JPEG or WebP."""

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
    """The body is not a complete multipart form; ``field`` is the part that cannot be read."""

    code = "malformed_request"


class UnknownField(RequestError):
    """A form field or query parameter of unknown name, usually a misspelling."""

    code = "unknown_field"


class NoSuchFile(RequestError):
    """The edit exists, but has no result of this number or no artifact of this name."""

    code = "no_such_file"


class NoPreview(RequestError):
    """The edit exists, but has no preview: it is queued, has just started, or has ended."""

    code = "no_preview"
    headers = MappingProxyType({"Retry-After": "1"})


class NoWebhook(RequestError):
    """The edit exists, but was submitted without a webhook."""

    code = "no_webhook"


class NoKey(RequestError):
    """The address needs an API key and none was sent. Without an error code in the challenge (RFC 6750, 3.1)."""

    code = "not_authenticated"
    headers = MappingProxyType({"WWW-Authenticate": 'Bearer realm="magedit"'})

    def __init__(self, message: str = "send an API key: `Authorization: Bearer mge_...`") -> None:
        super().__init__(message)


class InvalidKey(RequestError):
    """The API key is not valid; the reason is not revealed."""

    code = "invalid_token"
    headers = MappingProxyType({"WWW-Authenticate": 'Bearer realm="magedit", error="invalid_token"'})

    def __init__(self, message: str = "the API key is unknown, revoked or expired") -> None:
        super().__init__(message)


class ForeignHost(RequestError):
    """A service for its own machine was requested by a foreign host name (RFC 9110, 15.5.20)."""

    code = "foreign_host"


class ForeignOrigin(RequestError):
    """A service without API keys received a request from a foreign page."""

    code = "foreign_origin"


class ScopeMissing(RequestError):
    """The API key is valid, but lacks ``scope``."""

    code = "insufficient_scope"

    def __init__(self, scope: str) -> None:
        super().__init__(f"this requires an API key with the scope {scope}")
        self.headers = {"WWW-Authenticate": f'Bearer realm="magedit", error="insufficient_scope", scope="{scope}"'}


class InvalidIdempotencyKey(RequestError):
    """The `Idempotency-Key` header is malformed."""

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
    """The limit of concurrent uploads is reached, and none finished in time."""

    code = "busy"
    headers = MappingProxyType({"Retry-After": "5"})


class EditFailed(RequestError):
    """There is no result because the edit failed; ``problem`` supplies the response's code and detail."""

    code = "edit_failed"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class NotFinishedInTime(RequestError):
    """A call that waits for results reached its limit; the edit keeps running, and ``headers`` name it."""

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
