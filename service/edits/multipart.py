"""Multipart bodies of submissions, read completely or rejected with a reason.

Starlette's parser accepts truncated forms, reads text of any encoding as Latin-1, and ignores transfer encodings; its
errors name neither part nor cure.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from service.errors import MalformedForm, UnsupportedBody, UploadTooLarge
from service.images.metadata import JPEG, PNG, RIFF

MULTIPART: Final = "multipart/form-data"
TEXT_MAX: Final = 1024 * 1024
"""Longest part that is not a file, in bytes."""
PARTS_MAX: Final = 1000
"""Most files, and most other parts, of one form."""

_GZIP: Final = b"\x1f\x8b"
_CURE: Final = "let your HTTP client build the form and the header (curl -F, requests files=, fetch with FormData)"


class FormRoute(APIRoute):
    """A route that reads its form by `read_multipart`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def read_and_handle(request: Request) -> Response:
            return await handle(_WithForm(request, self.read(await read_multipart(request))))

        return read_and_handle

    def read(self, form: FormData) -> FormData:
        """The form for the route."""
        return form


class _WithForm(Request):
    """A request whose form has been read."""

    def __init__(self, request: Request, form: FormData) -> None:
        super().__init__(request.scope, request.receive)
        self._read = form

    async def form(self, **_: Any) -> FormData:  # type: ignore[override]
        return self._read


async def read_multipart(request: Request) -> FormData:
    """Read the body as a multipart form; its order and repetitions are kept.

    Raises:
        UnsupportedBody: it is not a multipart form, or it is compressed.
        MalformedForm: it has no boundary, ends before its closing boundary, or a part cannot be read.
        UploadTooLarge: a text is too long.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    media_type = kind.decode("latin-1")
    if media_type != MULTIPART:
        raise UnsupportedBody(f"the body is {media_type or 'of no declared type'}; send it as {MULTIPART}")
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedBody(f"the body is compressed (Content-Encoding: {encoding}); send it uncompressed")
    boundary = options.get(b"boundary", b"").decode("latin-1")
    if not boundary:
        raise MalformedForm(f"the Content-Type header names no boundary: {_CURE}")
    parser = _Parser(request, boundary)
    try:
        return await parser.parse()
    except MultiPartException as error:
        if parser.begin == _GZIP:
            raise UnsupportedBody("the body is compressed (gzip); send it uncompressed") from error
        raise MalformedForm(
            f"the body is not a form with the boundary {boundary[:100]!r} that the Content-Type header names: {_CURE}"
        ) from error
    except ClientDisconnect as error:
        # No one reads this response, but the abort must not count as a server error.
        raise MalformedForm("the connection was closed before the whole form had arrived") from error


class _Parser(MultiPartParser):
    """Starlette's parser, with refusals that name the part and a check of the closing boundary."""

    def __init__(self, request: Request, boundary: str) -> None:
        super().__init__(
            request.headers,
            self._pieces(request),
            max_files=PARTS_MAX,
            max_fields=PARTS_MAX,
            max_part_size=TEXT_MAX,
        )
        self._boundary = boundary
        self._is_whole = False
        self.begin = b""
        """The first two bytes of the body."""

    async def _pieces(self, request: Request) -> AsyncGenerator[bytes, None]:
        async for piece in request.stream():
            self.begin = (self.begin + piece[:2])[:2]
            yield piece
        # Raised where the parser reads: it closes its files then.
        if not self.begin:
            raise MalformedForm("the body is empty: send the form's fields")
        if not self._is_whole:
            raise MalformedForm(
                f"the form ends without its closing boundary '--{self._boundary[:100]}--': it was truncated in "
                f"transit or by the program that wrote it; send the whole form again"
            )

    def on_end(self) -> None:
        self._is_whole = True

    def on_headers_finished(self) -> None:
        headers = dict(self._current_part.item_headers)
        kind, options = parse_options_header(self._current_part.content_disposition)
        if kind != b"form-data" or b"name" not in options:
            number = self._current_files + self._current_fields + 1
            raise MalformedForm(
                f'part {number} of the form has no name: each needs `Content-Disposition: form-data; name="..."`'
            )
        name = options[b"name"].decode("utf-8", "replace")
        encoding = headers.get(b"content-transfer-encoding", b"binary").decode("latin-1").strip().lower()
        if encoding not in {"7bit", "8bit", "binary"}:
            raise MalformedForm(
                f"`{name}` has the Content-Transfer-Encoding {encoding!r}, which is deprecated for forms (RFC 7578, "
                f"4.7): send the raw bytes",
                field=name,
            )
        if self._current_files >= self.max_files or self._current_fields >= self.max_fields:
            raise MalformedForm(f"the form has more than {PARTS_MAX} parts; no edit needs that many")
        super().on_headers_finished()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._current_part
        if part.file is None and len(part.data) + end - start > self.max_part_size:
            raise UploadTooLarge(
                f"`{part.field_name}` is a text of more than {TEXT_MAX // 1024} KiB. Send pictures as files, with a "
                f"filename (curl -F 'image=@room.png')",
                field=part.field_name,
            )
        super().on_part_data(data, start, end)

    def on_part_end(self) -> None:
        part = self._current_part
        if part.file is None:
            if part.data.startswith((PNG, JPEG, RIFF)):
                raise MalformedForm(
                    f"`{part.field_name}` is a picture without a filename: give its part one (curl -F "
                    f"'{part.field_name}=@room.png', in JavaScript form.append('{part.field_name}', blob, 'room.png'))",
                    field=part.field_name,
                )
            try:
                part.data.decode(self._charset)
            except UnicodeDecodeError as error:
                raise MalformedForm(
                    f"`{part.field_name}` is not {self._charset.upper()} text: byte {error.start} cannot be read; "
                    "encode the text as UTF-8",
                    field=part.field_name,
                ) from error
        super().on_part_end()
