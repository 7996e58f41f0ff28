"""Direct Inversion (Ju et al., arXiv 2310.01506): the source branch is the stored trajectory."""

from __future__ import annotations

from magedit.inversion.base import InversionTask, Inverted
from magedit.inversion.ddim.loop import trajectory


def direct(task: InversionTask) -> Inverted:
    """The trajectory, kept: the source latent at each step is the stored one, so it reconstructs exactly.

    Where the process is Euler's, sampling moves the edit's input by what the source moves
    (`magedit.methods.sampling.network_input`).
    """
    return Inverted(trajectory(task), (task.empty,) * task.config.steps, exact=True)
