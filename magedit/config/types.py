"""Types of an edit's parameters: enumerations and regions. Free of torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Literal, Self

from annotated_types import Ge, Le, MaxLen
from typing_extensions import Doc

from magedit.config.parameters import Parameters, parameters

MethodName = Literal[
    "mag-edit",
    "p2p",
    "pnp",
    "diffedit",
    "instruct-edit",
    "blended-latent",
    "flow-edit",
    "sine",
    "instruct-pix2pix",
    "magicbrush",
]
InversionName = Literal["direct", "ddim", "null-text", "negative-prompt", "proximal", "style", "virtual"]
ConstraintName = Literal["token", "spatial", "both"]
Selection = Literal["none", "likelihood"]
Denominator = Literal["joint", "text"]
InjectionName = Literal["refine", "replace", "pnp"]
MaskSource = Literal["given", "own"]
ProximalNorm = Literal["l0", "l1"]
PresetName = Literal["exact", "balanced", "fast", "turbo"]
MaskResampling = Literal["coverage", "nearest"]
MaskMode = Literal["white", "black", "alpha"]
MaskSoftness = Literal["none", "strength"]
MaskedContent = Literal["source", "surroundings"]

WORD_MAX = 100
"""Longest edit word or phrase, in characters."""

WORDS_MAX = 16
"""Most edit words of one region."""

Fraction = Annotated[float, Ge(0.0), Le(1.0)]
Word = Annotated[str, MaxLen(WORD_MAX)]


RENAMED: Mapping[str, str] = MappingProxyType({"scale": "guidance_step_size"})
"""Parameters by former name; errors name the current one."""

RENAMED_IN_REGION: Mapping[str, str] = MappingProxyType({"strength": "weight"})
"""The same for regions."""


def refuse_renamed(owner: str, given: Iterable[str], renamed: Mapping[str, str]) -> None:
    """Raise TypeError with the current name if a ``given`` one is a former name."""
    for name in given:
        if name in renamed:
            raise TypeError(f"{owner} has no parameter {name!r}: it is now {renamed[name]!r}")


@parameters
@dataclass(frozen=True, kw_only=True)
class Region(Parameters):
    """One area to edit: the words that must win inside its mask. Masks pair with regions by position."""

    def __new__(cls, **given: object) -> Self:
        refuse_renamed("Region", given, RENAMED_IN_REGION)
        return super().__new__(cls)

    words: Annotated[
        tuple[Word, ...],
        MaxLen(WORDS_MAX),
        Doc(
            "Whole words of the target prompt that must win cross attention inside the mask (S* of the paper, 4.2). "
            "`word[2]` picks the second occurrence. Empty: the phrases that the target prompt adds to the source "
            "prompt; a new quality includes its noun."
        ),
    ] = ()
    negative_words: Annotated[
        tuple[Word, ...],
        MaxLen(WORDS_MAX),
        Doc(
            "Words of the target prompt whose token ratio is pushed down inside the mask; for extreme changes. A "
            "word that the target prompt replaces has no attention in the edit: put it in `negative_prompt` instead."
        ),
    ] = ()
    weight: Annotated[Fraction, Doc("Weight of this region's loss relative to the other regions, 0..1.")] = 1.0

    def __post_init__(self) -> None:
        """Validate as other parameters do; a single word or phrase becomes a tuple."""
        for name in ("words", "negative_words"):
            if isinstance(value := getattr(self, name), str):
                object.__setattr__(self, name, (value,))
        super().__post_init__()
