"""Direct Inversion (Ju et al., arXiv 2310.01506)."""

from __future__ import annotations

from magedit.card import Paper
from magedit.inversion.card import OF_A_TRAJECTORY, InversionCard

CARD = InversionCard(
    name="direct",
    summary="Keeps the trajectory as the source branch: exact, without optimisation. On rectified flow, the edit's "
    "steps evaluate the network where the inversion's began, so that an edit without changes is exact, too.",
    papers=(Paper(title="Direct Inversion", arxiv="2310.01506"), Paper(title="DirectEdit", arxiv="2605.02417")),
    unsuited=OF_A_TRAJECTORY,
    keeps_source=True,
)
