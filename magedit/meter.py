"""What an edit has cost so far, and how far it is: counts UNet passes, times stages, reports progress.

Free of torch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from magedit.config import EditConfig
from magedit.report import Progress, Stage

OnProgress = Callable[[Progress], None]

TRUNCATED_COST = 0.5
"""A UNet pass up to the last map that guidance needs, in whole passes (SD 1.x: 397 of 803 GFLOP)."""

BACKWARD_COST = 0.55
"""A backward pass from those maps to the latent, in whole passes (SD 1.x: 444 of 803 GFLOP)."""

LOOKS = 2.2
"""Gradients of a guided step when one serves several updates: measured, 53 to 58 in 25 steps of the demo's edits."""


@dataclass
class Meter:
    """Counters of one edit. ``expected`` is the work per stage, in whole UNet passes, that the edit plans."""

    expected: dict[Stage, float]
    on_progress: OnProgress | None = None
    forward: int = 0
    truncated: int = 0
    backward: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    _stage: Stage = Stage.PREPARE
    _steps: int = 1
    _step: int = 0
    _before: float = 0.0
    _work: float = 0.0

    @contextmanager
    def stage(self, stage: Stage, steps: int) -> Iterator[None]:
        """Time a stage of ``steps`` steps and report its start and end."""
        self._stage, self._steps, self._step, self._work = stage, steps, 0, 0.0
        started = time.perf_counter()
        self._report()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started
        # A stage that stopped early counts whole, so that the fraction only grows.
        self._before += self.expected.get(stage, 0.0)

    def stepped(self) -> None:
        """One step of the running stage is done."""
        self._step += 1
        self._report()

    def passed(self, *, forward: int = 0, truncated: int = 0, backward: int = 0) -> None:
        """Count finished UNet passes and report."""
        self.forward += forward
        self.truncated += truncated
        self.backward += backward
        self._work += forward + truncated * TRUNCATED_COST + backward * BACKWARD_COST
        self._report()

    def _report(self) -> None:
        if self.on_progress is None:
            return
        total = sum(self.expected.values())
        done = self._before + min(self._work, self.expected.get(self._stage, 0.0))
        self.on_progress(
            Progress(
                stage=self._stage,
                step=self._step,
                steps=self._steps,
                fraction=min(1.0, done / total) if total else 0.0,
            )
        )


def expected_work(config: EditConfig, *, inverted: bool) -> dict[Stage, float]:
    """Work per stage that ``config`` plans, in whole UNet passes; the basis of progress fractions."""
    work = {Stage.PREPARE: 0.0, Stage.DECODE: 0.0}
    work[Stage.INVERT] = 0.0 if inverted else float(config.steps)
    if config.inversion == "null-text" and not inverted:
        work[Stage.OPTIMIZE] = config.steps * (2 + config.null_text_iterations * (1 + BACKWARD_COST))
    looks = min(config.iterations, LOOKS) if config.gradient_tolerance else config.iterations
    guided = config.guided_steps * looks * (TRUNCATED_COST + BACKWARD_COST)
    work[Stage.EDIT] = 2.0 * config.steps + guided
    return work
