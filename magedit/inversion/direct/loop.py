"""Direct Inversion (Ju et al., arXiv 2310.01506): the source branch is the stored trajectory."""

from __future__ import annotations

from magedit.inversion.base import InversionTask, Inverted
from magedit.inversion.ddim.loop import trajectory


def direct(task: InversionTask) -> Inverted:
    """The DDIM trajectory, kept: the source latent at each step is the stored one, so it reconstructs exactly."""
    return Inverted(trajectory(task), (task.empty,) * task.config.steps, exact=True)
