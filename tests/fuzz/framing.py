"""Requests as bytes: a submission, and everything that can be wrong with how it is wrapped."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import NamedTuple

from tests.fuzz.pictures import BASES, mutated

BOUNDARY = b"fuzz-boundary-7f3a"
FIELDS = {"source_prompt": b"a room with a green carpet", "target_prompt": b"a room with a purple carpet"}
MASK = BASES[4]
"""A picture that is valid as a mask too."""


class Request(NamedTuple):
    """What is sent; ``ends``: whether all that it announces comes, so that there must be an answer."""

    head: bytes
    body: bytes
    ends: bool = True

    @property
    def raw(self) -> bytes:
        return self.head + self.body


def part(name: bytes, value: bytes, filename: bytes | None = None) -> bytes:
    """One part of a multipart form."""
    named = b'; filename="' + filename + b'"\r\nContent-Type: image/png' if filename is not None else b""
    head = b'Content-Disposition: form-data; name="' + name + b'"' + named
    return b"--" + BOUNDARY + b"\r\n" + head + b"\r\n\r\n" + value + b"\r\n"


def form(parts: Iterable[bytes]) -> bytes:
    """The body of a multipart form."""
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


def head(*lines: bytes, kind: bytes = b"multipart/form-data; boundary=" + BOUNDARY) -> bytes:
    """The head of a submission."""
    first = (b"POST /v1/edits HTTP/1.1", b"Host: localhost", b"Connection: close", b"Content-Type: " + kind)
    return b"\r\n".join((*first, *lines)) + b"\r\n\r\n"


def length(body: bytes) -> bytes:
    return b"Content-Length: %d" % len(body)


def parts(image: bytes, mask: bytes) -> list[bytes]:
    """The parts of a submission."""
    texts = [part(name.encode(), value) for name, value in FIELDS.items()]
    return [part(b"image", image, b"image.png"), part(b"mask", mask, b"mask.png"), *texts]


def wrong_picture(random: Random) -> Request:
    """A well-formed submission of a wrong picture."""
    pictures = [BASES[0], MASK]
    pictures[random.randrange(2)] = mutated(random)
    body = form(parts(*pictures))
    return Request(head(length(body)), body)


def wrong_bytes(random: Random) -> Request:
    """A body with bytes changed, removed and added anywhere, its length as it is."""
    body = bytearray(form(parts(BASES[0], MASK)))
    for _ in range(random.choice((1, 5, 50))):
        at = random.randrange(len(body))
        size = random.choice((0, 1, 1, 4))
        body[at : at + size] = random.choice((b"", b"\r\n", b"--", b"--" + BOUNDARY, b"\0", random.randbytes(3)))
    return Request(head(length(bytes(body))), bytes(body))


def wrong_length(random: Random) -> Request:
    """A length that is too small, too large, or none."""
    body = form(parts(BASES[0], MASK))
    said = random.choice((0, 1, len(body) // 2, len(body) - 1, len(body) + 1, len(body) + 10_000, 10**12, 10**30))
    text = random.choice((b"%d" % said, b"%d" % said, b"-1", b"abc", b"%d, %d" % (said, said + 1), b"0x10"))
    ends = text.isdigit() and int(text) <= len(body)
    return Request(head(b"Content-Length: " + text), body, ends)


def wrong_parts(random: Random) -> Request:
    """Parts repeated, missing, unnamed, too many, badly named."""
    known = parts(BASES[0], MASK)
    odd = [
        part(b"image", b""),
        part(b"mask", b"", b"mask.png"),
        part(b"image", b"text instead of a file"),
        part(b"source_prompt", BASES[0], b"prompt.png"),
        part(b"target_prompt", b"\xff\xfe\0"),
        part(b"steps", b"1e400"),
        part(b"seed", b"9" * 400),
        part(b"regions", b"[" * 20_000),
        part(b"regions", b'[{"words": ["\\ud800"]}]'),
        part(b"words", b"\xed\xa0\x80"),
        part(b"", b""),
        part(b"a" * 5000, b"x"),
        part(b'na"me', b"x", b'../../etc/"passwd'),
        part(b"mask", MASK, b"\xff\0.png"),
        part(b"webhook_url", b"https://[::ffff:127.0.0.1]/"),
        b"--" + BOUNDARY + b"\r\n\r\nno disposition\r\n",
        b"--" + BOUNDARY + b"\r\nContent-Disposition: form-data; name*=utf-8''im%61ge\r\n\r\nx\r\n",
        b"--" + BOUNDARY + b"\r\n" + b"X-Long: " + b"a" * 20_000 + b"\r\n\r\nx\r\n",
    ]
    chosen = random.sample(known, random.randrange(len(known) + 1)) + random.sample(odd, random.randrange(1, 4))
    if random.random() < 0.1:
        chosen += [part(b"words", b"purple")] * random.choice((10, 2000))
    random.shuffle(chosen)
    body = form(chosen)
    return Request(head(length(body)), body)


def wrong_head(random: Random) -> Request:
    """Another kind of body, or no boundary, or one that is not there."""
    kind = random.choice(
        (
            b"multipart/form-data",
            b"multipart/form-data; boundary=",
            b"multipart/form-data; boundary=other",
            b'multipart/form-data; boundary="' + b"b" * 300 + b'"',
            b"multipart/mixed; boundary=" + BOUNDARY,
            b"multipart/form-data; charset=utf-7; boundary=" + BOUNDARY,
            b"multipart/form-data; charset=nonsense; boundary=" + BOUNDARY,
            b"application/json",
            b"application/x-www-form-urlencoded",
            b"image/png",
            b"\xff\xfe",
            b"",
        )
    )
    body = random.choice((form(parts(BASES[0], MASK)), b"", b"{}", b"a=b", BASES[0]))
    return Request(head(length(body), kind=kind), body)


def wrong_chunks(random: Random) -> Request:
    """Chunked transfer, right and wrong."""
    body = form(parts(BASES[0], MASK))
    cut = random.randrange(1, len(body))
    pieces = [body[:cut], body[cut:]]
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces)
    last, ends = random.choice(
        ((b"0\r\n\r\n", True), (b"", False), (b"zz\r\n", False), (b"ffffffffffffffff\r\n", False), (b"-1\r\n", False))
    )
    return Request(head(b"Transfer-Encoding: chunked"), chunked + last, ends)


KINDS: tuple[tuple[Callable[[Random], Request], int], ...] = (
    (wrong_picture, 60),
    (wrong_bytes, 12),
    (wrong_parts, 12),
    (wrong_length, 6),
    (wrong_head, 6),
    (wrong_chunks, 4),
)
"""Kinds of requests with their weights."""


def request(random: Random) -> Request:
    """The next request."""
    (make,) = random.choices([kind for kind, _ in KINDS], [weight for _, weight in KINDS])
    return make(random)
