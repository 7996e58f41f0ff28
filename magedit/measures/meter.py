"""Cost and progress of a running edit: UNet passes, seconds per stage, finished fraction.

Free of torch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain

from magedit.config import EditConfig
from magedit.inversion.registry import INVERSIONS
from magedit.measures.passes import Passes
from magedit.measures.report import Progress, Stage
from magedit.methods.registry import METHODS

OnProgress = Callable[[Progress], None]


@dataclass
class Meter:
    """Counters of one edit. ``expected`` is the work per stage, in whole UNet passes, that the edit plans."""

    expected: dict[Stage, float]
    on_progress: OnProgress | None = None
    forward: int = 0
    truncated: int = 0
    backward: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    _stage: Stage | None = None
    _steps: int = 0
    _step: int = 0
    _before: float = 0.0
    _work: float = 0.0

    @contextmanager
    def stage(self, stage: Stage, steps: int) -> Iterator[None]:
        """Time a stage of ``steps`` steps and report its start and end. Re-entering a stage continues it."""
        if stage is not self._stage:
            # A stage that stopped early counts as complete, so that the fraction only grows.
            self._before += self.expected.get(self._stage, 0.0) if self._stage else 0.0
            self._stage, self._steps, self._step, self._work = stage, 0, 0, 0.0
        self._steps += steps
        started = time.perf_counter()
        self._report()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started

    def stepped(self) -> None:
        """Count one step of the running stage."""
        self._step += 1
        self._report()

    def passed(self, *, forward: int = 0, truncated: int = 0, backward: int = 0) -> None:
        """Count finished UNet passes and report."""
        self.forward += forward
        self.truncated += truncated
        self.backward += backward
        self._work += Passes(forward=forward, truncated=truncated, backward=backward).work
        self._report()

    def _report(self) -> None:
        if self.on_progress is None:
            return
        stage = self._stage or Stage.PREPARE
        total = sum(self.expected.values())
        done = self._before + min(self._work, self.expected.get(stage, 0.0))
        self.on_progress(
            Progress(
                stage=stage,
                step=self._step,
                steps=self._steps,
                fraction=min(1.0, done / total) if total else 0.0,
            )
        )


def planned(config: EditConfig, *, inverted: bool) -> dict[Stage, Passes]:
    """UNet passes per stage that ``config`` plans; those of the inversion only if it is not ``inverted`` already."""
    card = METHODS[config.method]
    passes = {Stage.PREPARE: Passes(), Stage.INVERT: Passes(), Stage.DECODE: Passes()}
    if card.inversions and not inverted:
        inversion = INVERSIONS[config.inversion]
        if not inversion.is_virtual:
            passes[Stage.INVERT] = Passes(forward=config.steps)
        passes |= inversion.plan(config)
    plans = [card.shared(config), *(card.plan(each) for each in config.variants)]
    for stage, more in chain.from_iterable(plan.items() for plan in plans):
        passes[stage] = passes.get(stage, Passes()) + more
    return passes


def expected_work(config: EditConfig, *, inverted: bool) -> dict[Stage, float]:
    """The planned work in whole UNet passes; the basis of progress fractions."""
    return {stage: passes.work for stage, passes in planned(config, inverted=inverted).items()}


def relative_work(config: EditConfig) -> float:
    """The work of all results of ``config``, inversion included, relative to one result with its inversion."""
    one = replace(config, n=1, sweep=())
    return sum(expected_work(config, inverted=False).values()) / sum(expected_work(one, inverted=False).values())
