"""The `Idempotency-Key` header and the fingerprint of a request's payload.

The key is a structured string, `"..."` (RFC 9651, 3.3.3), or the same bare; both mean the same key. Its effect:
`jobs.records.idempotency`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Header, Request
from starlette.datastructures import UploadFile

from jobs.schema import JobKind
from service.errors import InvalidIdempotencyKey

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"
"""Header of a response for an edit that an earlier request created."""

KEY_MAX = 255
"""Longest key, in characters."""

# Printable ASCII; inside quotes with spaces, and with \\ before a quote or backslash.
_BARE = re.compile(r"[!#-~][!-~]*", re.ASCII)
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"', re.ASCII)


@dataclass(frozen=True)
class Keyed:
    """A key, and the form that came with it as (field, text or file) in the order sent."""

    value: str
    form: Sequence[tuple[str, UploadFile | str]]

    def fingerprint(self, kind: JobKind = "edit") -> str:
        """SHA-256 in hex of an edit's or a mask's payload: every field's values in order, files by their bytes alone.

        The order of different fields, file names and declared types do not count. Reads the files: not for the event
        loop.
        """
        parts = [(name, *_digest(value)) for name, value in self.form]
        # Sorting is stable: a repeated field keeps its order, which pairs masks with regions.
        payload = json.dumps(sorted(parts, key=lambda part: part[0]))
        return hashlib.sha256(f"{'' if kind == 'edit' else kind}{payload}".encode()).hexdigest()


def parse_key(values: Sequence[str]) -> str:
    """The key in the header's lines. Raises InvalidIdempotencyKey."""
    if len(values) != 1:
        raise InvalidIdempotencyKey(f"there are {len(values)} {HEADER} headers; send one", field=HEADER)
    text = values[0].strip()
    quoted = _QUOTED.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text
    if not (quoted or _BARE.fullmatch(text)) or not 1 <= len(key) <= KEY_MAX:
        raise InvalidIdempotencyKey(
            f"the key is not a string of 1 to {KEY_MAX} printable ASCII characters, in double quotes or bare",
            field=HEADER,
        )
    return key


def _digest(value: UploadFile | str) -> tuple[str, str]:
    if isinstance(value, str):
        return "text", value
    digest = hashlib.file_digest(value.file, "sha256").hexdigest()  # type: ignore[arg-type]
    value.file.seek(0)
    return "file", digest


async def _keyed(
    request: Request,
    _: Annotated[
        str | None,
        Header(
            alias=HEADER,
            description="A text of your choice, unique per intended edit, quoted or bare. Sent again with the same "
            "payload it returns the same edit, with another payload 422.",
            max_length=2 * KEY_MAX + 2,
        ),
    ] = None,
) -> Keyed | None:
    values = request.headers.getlist(HEADER)
    if not values:
        return None
    # Already parsed by the route; this is the same form.
    return Keyed(parse_key(values), (await request.form()).multi_items())


KeyedDep = Annotated[Keyed | None, Depends(_keyed)]
