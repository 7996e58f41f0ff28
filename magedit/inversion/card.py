"""The card of an inversion. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from magedit.card import Card, Trait
from magedit.config import InversionName

WITHOUT_UNCONDITIONAL: Final[Mapping[Trait, str]] = {
    "embedded-guidance": "the model takes the guidance scale as input and has no unconditional half that it needs"
}
OF_A_TRAJECTORY: Final[Mapping[Trait, str]] = {
    "few-step": "the model was distilled to skip the steps of an inversion; use inversion 'virtual'"
}


@dataclass(frozen=True, kw_only=True)
class InversionCard(Card):
    """One inversion: a function from `InversionTask` to `Inverted` (`magedit.inversion.base`).

    ``plan`` gives the passes beyond the T of the trajectory itself.

    ``made_with``: those of ``parameters`` that the trajectory depends on, besides ``steps``, ``lora`` and
    ``clip_skip``.
    ``keeps_source``: the source branch is stored and need not be sampled again. ``full_precision``: it needs a UNet in
    float32. ``is_virtual``: there is no trajectory and no pass for it; the source is the picture under fresh noise at
    each step, and the edit follows the difference of the two predictions.
    """

    name: InversionName
    made_with: tuple[str, ...] = ()
    keeps_source: bool = False
    full_precision: bool = False
    is_virtual: bool = False
