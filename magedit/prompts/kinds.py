"""Kinds of edit: the defaults that each sets, and the words that fill a removed object's place.

Free of torch. What a caller gives always wins over a kind's defaults.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from magedit.config import NEGATIVE_PROMPT_MAX, EditConfig, PresetName
from magedit.prompts.alignment import CONNECTORS, align

EditKind = Literal["attribute", "replacement", "addition", "removal"]
KindName = Literal["auto", "attribute", "replacement", "addition", "removal"]

# A thing of another shape cannot grow where the source's shape is injected, and what replaces injection as a hold on
# the background is the blend at all steps (Blended Latent Diffusion, arXiv 2206.02779); it helps attributes too. A new
# colour needs no push where its word is in place already: there, guidance spoils what is right.
KINDS: Mapping[EditKind, Mapping[str, Any]] = MappingProxyType(
    {
        "attribute": {"self_replace": 0.4, "blend_fraction": 1.0, "stop_contrast": 4.0, "guided_from": 0.04},
        "replacement": {"cross_replace": 0.2, "self_replace": 0.1, "blend_fraction": 1.0, "strength": 0.63},
        "addition": {"cross_replace": 0.4, "self_replace": 0.2, "blend_fraction": 1.0},
        "removal": {"cross_replace": 0.4, "self_replace": 0.2, "blend_fraction": 1.0, "strength": 0.63},
    }
)
"""What each kind sets; everything else is the default of `EditConfig`, the paper's. A removal also sets
`negative_prompt` to the words that vanish. Measured on edits of the demo that no published table holds
(`benchmarks.quality --seed 1`, 3 of each kind; attributes, under `fast`, 12)."""

KIND_GOVERNED = frozenset({name for kind in KINDS.values() for name in kind} | {"negative_prompt"})
"""The parameters whose default depends on the kind."""

KIND_DOC = (
    "What kind of edit it is, for defaults that suit it; those that are given win over it. `attribute`: colour, "
    "material, pattern (the source's shape is injected; the background is held by the blend at all steps; guidance "
    "ends where the words stand out). `replacement`, `addition`: less injection. `removal`: besides, what vanishes "
    "from the prompt becomes the negative prompt, and words of the target prompt for what fills the place (wall, "
    "floor, grass, ...) are guided. `auto`: by what changes between the prompts (English); with the preset `exact` "
    "none of this."
)

FILLING = frozenset(
    (
        *("wall", "floor", "ceiling", "ground", "grass", "lawn", "field", "sky", "sea", "water", "river", "lake"),
        *("sand", "beach", "snow", "road", "street", "pavement", "room", "background"),
    )
)
"""Words for what a thing stands in front of ("stuff" of COCO-Stuff, arXiv 1612.03716, its outdoor and indoor classes
that surround things)."""

_TOKEN = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")


class Change(NamedTuple):
    """One place where two prompts differ: words of the source, words of the target, the shared word that follows."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    following: str | None


def changes(source: str, target: str) -> Iterator[Change]:
    """Where ``target`` differs from ``source``, in order; punctuation counts as words."""
    old, new = _words(source), _words(target)
    numbers = {word: number for number, word in enumerate(dict.fromkeys((*old, *new)))}
    mapper = align([numbers[word] for word in old], [numbers[word] for word in new], len(new)).mapper
    pairs = [(k, n) for n, k in enumerate(mapper) if k >= 0]
    at_old = at_new = 0
    for k, n in (*pairs, (len(old), len(new))):
        if k > at_old or n > at_new:
            yield Change(old[at_old:k], new[at_new:n], new[n] if n < len(new) else None)
        at_old, at_new = k + 1, n + 1


def kind_of(source: str, target: str) -> EditKind:
    """The kind of edit that leads from ``source`` to ``target``: that of the change that needs the most freedom."""
    kinds = {_kind(change) for change in changes(source, target)}
    ordered: tuple[EditKind, ...] = ("replacement", "addition", "removal")
    return next((kind for kind in ordered if kind in kinds), "attribute")


def _kind(change: Change) -> EditKind:
    if change.before and change.after:
        # "a [red] sofa": a quality of what follows. "a red [ball],": the thing itself.
        return "attribute" if _is_content(change.following) else "replacement"
    phrase = change.before or change.after
    if _is_content(change.following) and not CONNECTORS.intersection(phrase):
        return "attribute"
    return "removal" if change.before else "addition"


def vanishing(source: str, target: str) -> str:
    """The words that ``target`` lacks, phrase by phrase, as many as a negative prompt holds; empty if it lacks none."""
    found = ""
    for change in changes(source, target):
        if phrase := " ".join(_stripped(change.before)):
            longer = f"{found}, {phrase}" if found else phrase
            found = longer if len(longer) <= NEGATIVE_PROMPT_MAX else found
    return found


def filling_words(target: str) -> tuple[str, ...]:
    """The phrases of ``target`` for what can fill a thing's place: words of `FILLING`, each with those before it."""
    words = _words(target)
    found = []
    for end, word in enumerate(words):
        if word in FILLING:
            start = end
            while start > 0 and words[start - 1] not in CONNECTORS and words[start - 1] not in FILLING:
                start -= 1
            found.append(" ".join(words[start : end + 1]))
    return tuple(dict.fromkeys(found))


def filling_between(source: str, target: str) -> tuple[str, ...]:
    """The phrases of ``target`` for what fills the place of a thing that it leaves out; empty if it adds anything."""
    if not vanishing(source, target) or any(change.after for change in changes(source, target)):
        return ()
    return filling_words(target)


def with_kind(
    config: EditConfig,
    kind: KindName,
    source: str,
    target: str,
    *,
    given: Collection[str],
    preset: PresetName,
    has_words: bool = False,
) -> tuple[EditKind, EditConfig]:
    """The kind that ``kind`` stands for, and ``config`` with that kind's defaults where nothing was ``given``.

    ``has_words``: edit words are given. A removal without any, whose target prompt adds none and names nothing that
    could fill the place, is not guided: the negative prompt alone does it.

    Only MAG-Edit on Prompt-to-Prompt's injection takes a kind's defaults; other methods stay as published.
    """
    if kind == "auto" and preset == "exact":
        return "attribute", config
    resolved = kind_of(source, target) if kind == "auto" else kind
    if config.method != "mag-edit" or config.on_pnp:
        return resolved, config
    defaults = dict(KINDS[resolved])
    if resolved == "removal":
        defaults["negative_prompt"] = vanishing(source, target)
        is_added = any(change.after for change in changes(source, target))
        if not (has_words or is_added or filling_words(target)):
            defaults["strength"] = 0.0
    return resolved, replace(config, **{name: value for name, value in defaults.items() if name not in given})


def config_for(
    source: str,
    target: str,
    *,
    kind: KindName = "auto",
    preset: PresetName = "balanced",
    has_words: bool = False,
    **given: Any,
) -> EditConfig:
    """How to edit from prompt ``source`` to ``target``: the kind's and the preset's defaults, and what is ``given``."""
    config = EditConfig.preset(preset, **given)
    return with_kind(config, kind, source, target, given=given, preset=preset, has_words=has_words)[1]


def _words(prompt: str) -> tuple[str, ...]:
    return tuple(_TOKEN.findall(prompt.lower()))


def _is_content(word: str | None) -> bool:
    return word is not None and word not in CONNECTORS


def _stripped(phrase: tuple[str, ...]) -> tuple[str, ...]:
    """The phrase without punctuation and conjunctions around it; articles inside may stay."""
    outer = CONNECTORS - {"a", "an", "the"}
    start, end = 0, len(phrase)
    while start < end and phrase[start] in outer:
        start += 1
    while end > start and phrase[end - 1] in CONNECTORS:
        end -= 1
    return phrase[start:end]
