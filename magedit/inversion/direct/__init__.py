"""Direct Inversion (Ju et al., arXiv 2310.01506)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magedit.card import Paper
from magedit.inversion.card import InversionCard

if TYPE_CHECKING:
    from magedit.inversion.base import Invert


def _load() -> Invert:
    from magedit.inversion.direct.loop import direct

    return direct


CARD = InversionCard(
    name="direct",
    summary="Keeps the DDIM trajectory as the source branch: exact, nothing is optimised.",
    papers=(Paper(title="Direct Inversion", arxiv="2310.01506"),),
    load=_load,
    keeps_source=True,
)
