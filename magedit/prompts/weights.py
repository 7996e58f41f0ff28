"""Parser of Stable Diffusion web UI's weight syntax: ``(word:1.3)``, ``((word))``, ``[word]``."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from magedit.errors import PromptNotSupported
from magedit.measures.report import EditWarning
from magedit.prompts.phrases import parse
from magedit.prompts.tagger import MARK

PromptSyntax = Literal["plain", "a1111"]
PROMPT_SYNTAX_DOC = (
    "Syntax of the prompts. `plain`: no markup. `a1111`: with the weights of Stable Diffusion web UI; `(word:1.3)`, "
    "`((word))` and `[word]` of the target prompt become factors in `equalizer` (explicit ones win), and a backslash "
    "escapes a bracket."
)

STEP: Final = 1.1
"""Factor of a pair of round brackets; a pair of square ones divides by it."""

_PART = re.compile(
    r"""
    \\(?P<escaped>[()\[\]\\])
    | :\s*(?P<weight>[+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*(?=\))
    | (?P<bracket>[()\[\]])
    | (?P<text>[^\\()\[\]:]+|[\\:])
    """,
    re.VERBOSE,
)
_OTHER = re.compile(r"<\w+:[^<>]*>|\bBREAK\b|\bAND\b")


class Weighted(NamedTuple):
    """A prompt without brackets, and the factor of each weighted phrase."""

    prompt: str
    equalizer: dict[str, float]


class _Open(NamedTuple):
    bracket: str
    at: int
    """Its position in the text, from 0."""
    first: int
    """Index of the first part that it weights."""


def read_weights(text: str, *, field: str) -> Weighted:
    """Separate the weights from a prompt; a phrase is a run of words between marks with the same weight.

    A backslash escapes a bracket.

    Raises:
        PromptNotSupported: a bracket is unbalanced, or the text has unsupported syntax: a schedule
            (``[a:b:0.5]``), an alternation (``[a|b]``), ``<lora:...>``, ``AND`` or ``BREAK``; names ``field``.
    """
    if other := _OTHER.search(text):
        raise PromptNotSupported(
            f"{field} has {other[0]!r}: only weights of the web UI's syntax are supported", field=field
        )
    parts: list[tuple[str, float]] = []
    stack: list[_Open] = []
    for match in _PART.finditer(text):
        if match["bracket"] in ("(", "["):
            stack.append(_Open(match["bracket"], match.start(), len(parts)))
        elif match["bracket"]:
            opened = _closed(stack, match["bracket"], match.start(), field)
            _weigh(parts, opened.first, STEP if opened.bracket == "(" else 1 / STEP)
        elif match["weight"] and stack and stack[-1].bracket == "(":
            # The closing bracket that follows multiplies too.
            _weigh(parts, stack[-1].first, float(match["weight"]) / STEP)
        else:
            said = match["escaped"] or match["text"] or match[0]
            if stack and stack[-1].bracket == "[" and ("|" in said or said == ":"):
                raise PromptNotSupported(
                    f"{field} has {text[stack[-1].at :][:40]!r}: [a:b:0.5] and [a|b] change a prompt between steps, "
                    "which an edit's prompt cannot; [word] lowers a weight",
                    field=field,
                )
            parts.append((said, 1.0))
    if stack:
        raise PromptNotSupported(
            f"{field} has {stack[-1].bracket!r} at character {stack[-1].at + 1} that is never closed: close it, or "
            f"write \\{stack[-1].bracket} for the sign itself",
            field=field,
        )
    return _weighted(parts)


def _closed(stack: list[_Open], bracket: str, at: int, field: str) -> _Open:
    opening = {")": "(", "]": "["}[bracket]
    if not stack or stack[-1].bracket != opening:
        raise PromptNotSupported(
            f"{field} has {bracket!r} at character {at + 1} that no {opening!r} opens: write \\{bracket} for "
            "the sign itself",
            field=field,
        )
    return stack.pop()


def _weigh(parts: list[tuple[str, float]], first: int, factor: float) -> None:
    parts[first:] = [(said, weight * factor) for said, weight in parts[first:]]


def _weighted(parts: list[tuple[str, float]]) -> Weighted:
    text = "".join(said for said, _ in parts)
    weights = [weight for said, weight in parts for _ in said]
    prompt = parse(text)
    equalizer: dict[str, float] = {}
    start = 0
    of = [round(weights[first], 4) for first, _ in prompt.spans]
    for end in range(1, len(prompt.spans) + 1):
        is_cut = (
            end == len(prompt.spans) or of[end] != of[start] or "U" in (prompt.classes[end - 1], prompt.classes[end])
        )
        if is_cut:
            if of[start] != 1.0 and prompt.classes[start] != MARK:
                equalizer[prompt.pick(start, end)] = of[start]
            start = end
    return Weighted(text, equalizer)


class PlainPrompts(NamedTuple):
    """An edit's prompts without weights, the target words' factors, and a warning about weights without effect."""

    source: str
    target: str
    equalizer: dict[str, float]
    warnings: tuple[EditWarning, ...] = ()


def plain_prompts(source: str, target: str, syntax: PromptSyntax) -> PlainPrompts:
    """The prompts for the text encoder.

    Raises:
        PromptNotSupported: see `read_weights`.
    """
    if syntax == "plain":
        return PlainPrompts(source, target, {})
    plain, equalizer = read_weights(target, field="target_prompt")
    old, weights = read_weights(source, field="source_prompt")
    unused = [f"{word!r} {weight:g}" for word, weight in weights.items() if equalizer.get(word) != weight]
    if not unused:
        return PlainPrompts(old, plain, equalizer)
    warning = EditWarning(
        code="weights_unused",
        message=f"weights act on the edit's attention; those of the source prompt alone have no effect: "
        f"{', '.join(unused)}",
        field="source_prompt",
    )
    return PlainPrompts(old, plain, equalizer, (warning,))
