"""Counting and reporting."""

from __future__ import annotations

from dataclasses import replace

import pytest

from magedit.config import EditConfig
from magedit.measures.meter import Meter, expected_work, relative_work
from magedit.measures.passes import BACKWARD_COST, TRUNCATED_COST
from magedit.measures.report import Progress, Stage


def test_progress_grows_to_one_and_counts_every_pass() -> None:
    reports: list[Progress] = []
    meter = Meter({Stage.INVERT: 2.0, Stage.EDIT: 4.1}, reports.append)
    with meter.stage(Stage.INVERT, 2):
        for _ in range(2):
            meter.passed(forward=1)
            meter.stepped()
    with meter.stage(Stage.EDIT, 2):
        for _ in range(2):
            meter.passed(forward=1, truncated=1)
            meter.passed(backward=1)
            meter.stepped()
    assert (meter.forward, meter.truncated, meter.backward) == (4, 2, 2)
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)
    assert [(r.stage, r.step, r.steps) for r in reports if r.stage == Stage.INVERT][-1] == (Stage.INVERT, 2, 2)
    assert set(meter.seconds) == {Stage.INVERT, Stage.EDIT}


def test_a_stage_that_stops_early_counts_whole() -> None:
    reports: list[Progress] = []
    meter = Meter({Stage.OPTIMIZE: 10.0, Stage.EDIT: 10.0}, reports.append)
    with meter.stage(Stage.OPTIMIZE, 1):
        meter.passed(forward=1)
    with meter.stage(Stage.EDIT, 1):
        meter.stepped()
    assert reports[-1].fraction == pytest.approx(0.5)


def test_exceptions_of_the_listener_propagate() -> None:
    def stop(_: Progress) -> None:
        raise InterruptedError

    meter = Meter({}, stop)
    with pytest.raises(InterruptedError):
        meter.passed(forward=1)


@pytest.mark.parametrize("inversion", ["direct", "ddim", "null-text"])
def test_expected_work_excludes_skipped_stages(inversion: str) -> None:
    config = EditConfig(inversion=inversion)  # type: ignore[arg-type]
    every = expected_work(replace(config, gradient_tolerance=0.0), inverted=True)[Stage.EDIT]
    # The source: 40 steps in which its maps are injected, or all of its own sampling where that is not done yet.
    along = 100 if inversion == "ddim" else 50 + 40 * TRUNCATED_COST
    assert every == pytest.approx(along + 25 * 15 * (TRUNCATED_COST + BACKWARD_COST))
    assert along < expected_work(config, inverted=True)[Stage.EDIT] < every / 2
    whole, reused = (expected_work(config, inverted=inverted) for inverted in (False, True))
    assert whole[Stage.INVERT] == 50
    assert reused[Stage.INVERT] == 0
    assert (Stage.OPTIMIZE in whole) == (inversion == "null-text")
    assert Stage.OPTIMIZE not in reused
    plain = expected_work(EditConfig(method="p2p"), inverted=True)
    assert plain[Stage.EDIT] == 50 + 40 * TRUNCATED_COST < whole[Stage.EDIT]


def test_more_results_cost_less_than_as_many_edits() -> None:
    one = EditConfig()
    several = replace(one, n=3, sweep=(0.0, 1.0))
    assert relative_work(one) == 1
    assert 1 < relative_work(several) < 6
    work = [expected_work(config, inverted=True)[Stage.EDIT] for config in several.variants]
    # The source's 40 truncated passes are shared.
    assert expected_work(several, inverted=True)[Stage.EDIT] == pytest.approx(sum(work) - 5 * 40 * TRUNCATED_COST)


def test_a_reentered_stage_continues() -> None:
    reports: list[Progress] = []
    meter = Meter({Stage.EDIT: 4.0, Stage.DECODE: 0.0}, reports.append)
    for _ in range(2):
        with meter.stage(Stage.EDIT, 2):
            for _ in range(2):
                meter.passed(forward=1)
                meter.stepped()
    assert [round(report.fraction, 2) for report in reports if report.step][-1] == 1.0
    assert (reports[-1].step, reports[-1].steps) == (4, 4)
    assert [report.fraction for report in reports] == sorted(report.fraction for report in reports)
