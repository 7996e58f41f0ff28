"""Counts of UNet passes, the unit of cost. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass

TRUNCATED_COST = 0.5
"""A UNet pass up to the last map that guidance needs, in whole passes (SD 1.x: 397 of 803 GFLOP)."""

BACKWARD_COST = 0.55
"""A backward pass from those maps to the latent, in whole passes (SD 1.x: 444 of 803 GFLOP)."""

BATCH_RESULTS = 4
"""How many results of one edit may go through the UNet in one batch, where nothing else is said."""


@dataclass(frozen=True, kw_only=True)
class Passes:
    """Numbers of whole forward passes, of forward passes that end at the last map needed, and of backward passes.

    A pass is one result's: the two halves of its guidance, in one batch, count as one, and results that share a batch
    count each. So they do nearly as much work as alone, and an edit's cost does not depend on the batch. Planned
    numbers may be fractions: means over edits.
    """

    forward: float = 0
    truncated: float = 0
    backward: float = 0

    @property
    def work(self) -> float:
        """The same in whole forward passes."""
        return self.forward + self.truncated * TRUNCATED_COST + self.backward * BACKWARD_COST

    def __add__(self, other: Passes) -> Passes:
        return Passes(
            forward=self.forward + other.forward,
            truncated=self.truncated + other.truncated,
            backward=self.backward + other.backward,
        )
