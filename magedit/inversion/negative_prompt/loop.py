"""Negative-prompt inversion (Miyake et al., arXiv 2305.16807): no optimisation."""

from __future__ import annotations

from magedit.inversion.base import InversionTask, Inverted
from magedit.inversion.ddim.loop import trajectory


def negative_prompt(task: InversionTask) -> Inverted:
    """The DDIM trajectory with the source prompt itself as the unconditional (equation 7)."""
    return Inverted(trajectory(task), (task.source,) * task.config.steps, exact=False)
