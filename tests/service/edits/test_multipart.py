"""The form as a sequence of parts: read whole, or refused in a sentence that names the part and the cure."""

from __future__ import annotations

import gzip
import socket
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from jobs.settings import Settings
from service.edits.multipart import PARTS_MAX, TEXT_MAX
from tests.conftest import wait_until
from tests.fuzz.framing import BOUNDARY, form, head, length, part
from tests.service.conftest import assert_problem, mask, picture
from tests.service.edits.kept import assert_nothing_kept

DATA = Path(__file__).parents[2] / "data" / "uploads"
KIND = f"multipart/form-data; boundary={BOUNDARY.decode()}"

IMAGE, MASK = part(b"image", picture(), b"room.png"), part(b"mask", mask(), b"mask.png")
SOURCE = part(b"source_prompt", b"a room with a green carpet")
TARGET = part(b"target_prompt", b"a room with a purple carpet")
WHOLE = (IMAGE, MASK, SOURCE, TARGET)


def raw_part(name: bytes, value: bytes, *lines: bytes) -> bytes:
    """A part with further header lines."""
    head = b"\r\n".join((b'Content-Disposition: form-data; name="' + name + b'"', *lines))
    return b"--" + BOUNDARY + b"\r\n" + head + b"\r\n\r\n" + value + b"\r\n"


def send(client: httpx.Client, body: bytes, kind: str | None = KIND, **headers: str) -> httpx.Response:
    sent = {"content-type": kind} if kind is not None else {}
    return client.post("/v1/edits", content=body, headers=sent | headers)


def test_a_whole_form_is_accepted(client: httpx.Client) -> None:
    assert send(client, form(WHOLE)).status_code == 202
    # A preamble's line break and an epilogue are no part of it (RFC 2046, 5.1.1).
    assert send(client, b"\r\n" + form(WHOLE) + b"epilogue").status_code == 202


def test_a_form_cut_off_in_its_last_field_is_refused(client: httpx.Client, settings: Settings) -> None:
    body = (DATA / "truncated-form.bin").read_bytes()
    problem = assert_problem(send(client, body, "multipart/form-data; boundary=XbX"), 400, "malformed_request")
    assert "ends without its closing boundary '--XbX--'" in problem["detail"]
    assert "send the whole form again" in problem["detail"]
    assert_nothing_kept(settings)


def test_a_form_cut_off_anywhere_is_refused(client: httpx.Client, settings: Settings) -> None:
    body = form(WHOLE)
    # The closing boundary's second hyphen is what the form ends with, its line break is not (RFC 2046, 5.1.1).
    for end in (*range(len(body) - 4, len(body) - 120, -3), *range(0, len(body) - 120, 97)):
        assert_problem(send(client, body[:end]), 400, "malformed_request")
    assert_nothing_kept(settings)
    assert send(client, body[:-2]).status_code == 202


BROKEN: dict[str, tuple[bytes, str | None, int, str, str | None, str]] = {
    "no boundary": (
        form(WHOLE),
        "multipart/form-data",
        400,
        "malformed_request",
        None,
        "the Content-Type header names no boundary: let your HTTP client build the form",
    ),
    "another boundary": (
        form(WHOLE),
        "multipart/form-data; boundary=other",
        400,
        "malformed_request",
        None,
        "not a form with the boundary 'other'",
    ),
    "an endless boundary": (
        form(WHOLE),
        "multipart/form-data; boundary=" + "b" * 1000,
        400,
        "malformed_request",
        None,
        "not a form with the boundary",
    ),
    "nothing": (b"", KIND, 400, "malformed_request", None, "the body is empty"),
    "JSON": (b"{}", "application/json", 415, "unsupported_media_type", None, "send it as multipart/form-data"),
    "gzip without a header": (gzip.compress(form(WHOLE)), KIND, 415, "unsupported_media_type", None, "gzip"),
    "a part without a name": (
        form([*WHOLE, b"--" + BOUNDARY + b"\r\n\r\nx\r\n"]),
        KIND,
        400,
        "malformed_request",
        None,
        "part 5 of the form has no name",
    ),
    "text too long": (
        form([*WHOLE, part(b"negative_prompt", b"a" * (TEXT_MAX + 1))]),
        KIND,
        413,
        "upload_too_large",
        "negative_prompt",
        "more than 1024 KiB",
    ),
    "a large picture as text": (
        form([MASK, SOURCE, TARGET, part(b"image", b"a" * (TEXT_MAX + 1))]),
        KIND,
        413,
        "upload_too_large",
        "image",
        "Send pictures as files, with a filename (curl -F 'image=@room.png')",
    ),
    "too many parts": (
        form([*WHOLE, *([part(b"words", b"purple")] * PARTS_MAX)]),
        KIND,
        400,
        "malformed_request",
        None,
        "more than 1000 parts",
    ),
    "base64 as transfer encoding": (
        form([MASK, SOURCE, TARGET, raw_part(b"image", b"iVBORw0KGgo=", b"Content-Transfer-Encoding: base64")]),
        KIND,
        400,
        "malformed_request",
        "image",
        "Content-Transfer-Encoding 'base64'",
    ),
    "Latin-1": (
        form([IMAGE, MASK, SOURCE, part(b"target_prompt", "a café".encode("latin-1"))]),
        KIND,
        400,
        "malformed_request",
        "target_prompt",
        "is not UTF-8 text: byte 5 cannot be read",
    ),
    "a file without a filename": (
        form([MASK, SOURCE, TARGET, part(b"image", picture())]),
        KIND,
        400,
        "malformed_request",
        "image",
        "is a picture without a filename: give its part one (curl -F 'image=@room.png'",
    ),
    "text for a file": (
        form([MASK, SOURCE, TARGET, part(b"image", b"room.png")]),
        KIND,
        422,
        "invalid_request",
        "image",
        "it is the text 'room.png', not a file: send the picture's bytes as a part with a filename (curl -F "
        "'image=@picture.png'",
    ),
    "an empty text for a file": (
        form([IMAGE, SOURCE, TARGET, part(b"mask", b"")]),
        KIND,
        422,
        "invalid_request",
        "mask",
        "it is the text '', not a file",
    ),
    "a data URI": (
        form([IMAGE, SOURCE, TARGET, part(b"mask", b"data:image/png;base64,iVBORw0KGgo=")]),
        KIND,
        422,
        "invalid_request",
        "mask",
        "it is a data URI, not a file: decode it and send the picture's bytes",
    ),
    "base64": (
        form([MASK, SOURCE, TARGET, part(b"image", b"iVBORw0KGgo=")]),
        KIND,
        422,
        "invalid_request",
        "image",
        "it is base64 text, not a file: decode it",
    ),
    "an address": (
        form([MASK, SOURCE, TARGET, part(b"image", b"https://example.com/room.png")]),
        KIND,
        422,
        "invalid_request",
        "image",
        "the service does not download files: fetch it yourself",
    ),
    "a Blob for text": (
        form([IMAGE, MASK, SOURCE, part(b"target_prompt", b"a room with a purple carpet", b"blob")]),
        KIND,
        422,
        "invalid_request",
        "target_prompt",
        "it was sent as a file (filename 'blob'): send it as text",
    ),
    "an empty file": (
        form([MASK, SOURCE, TARGET, part(b"image", b"", b"room.png")]),
        KIND,
        422,
        "image_unreadable",
        "image",
        "is an empty file: it has 0 bytes",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_errors_of_a_part_name_the_cure(name: str, client: httpx.Client, settings: Settings) -> None:
    body, kind, status, code, field, told = BROKEN[name]
    problem = assert_problem(send(client, body, kind), status, code, field)
    assert told in problem["detail"]
    assert_nothing_kept(settings)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip"])
def test_a_compressed_body_is_refused(encoding: str, client: httpx.Client, settings: Settings) -> None:
    response = send(client, gzip.compress(form(WHOLE)), **{"content-encoding": encoding})
    problem = assert_problem(response, 415, "unsupported_media_type")
    assert problem["detail"] == f"the body is compressed (Content-Encoding: {encoding}); send it uncompressed"
    assert_nothing_kept(settings)


ONCE: Sequence[tuple[bytes, bytes]] = ((b"target_prompt", b"a room"), (b"steps", b"4"), (b"mask_mode", b"white"))


@pytest.mark.parametrize(("name", "value"), ONCE)
def test_a_single_field_sent_twice_is_refused(
    name: bytes, value: bytes, client: httpx.Client, settings: Settings
) -> None:
    twice = [part(name, value), part(name, value)]
    others = [each for each in WHOLE if b'"' + name + b'"' not in each]
    problem = assert_problem(send(client, form([*others, *twice])), 422, "invalid_request", name.decode())
    assert "it was sent 2 times but takes one value" in problem["detail"]
    assert_nothing_kept(settings)


def test_an_image_sent_twice_is_refused(client: httpx.Client, settings: Settings) -> None:
    assert_problem(send(client, form([IMAGE, *WHOLE])), 422, "invalid_request", "image")
    assert_nothing_kept(settings)


def test_repeated_fields_keep_their_values(client: httpx.Client) -> None:
    words = [part(b"words", b"purple"), part(b"words", b"carpet")]
    edit = send(client, form([*WHOLE, *words])).json()
    assert edit["request"]["regions"][0]["words"] == ["purple", "carpet"]


def test_a_caller_that_hangs_up_is_not_a_server_error(client: httpx.Client, settings: Settings) -> None:
    body = form(WHOLE)
    with capture_logs() as logs:
        with socket.create_connection(("127.0.0.1", client.base_url.port)) as connection:
            connection.sendall(head(length(body)) + body[:500])
        wait_until(lambda: any(each.get("status") == 400 for each in logs) or any(_faults(logs)))
    assert _faults(logs) == []
    assert_nothing_kept(settings)


def _faults(logs: Sequence[MutableMapping[str, Any]]) -> list[MutableMapping[str, Any]]:
    return [each for each in logs if each["log_level"] == "error"]
