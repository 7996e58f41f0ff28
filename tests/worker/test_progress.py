from __future__ import annotations

import pytest

from magedit.errors import EditCanceled
from magedit.measures.report import Progress, Stage
from worker.progress import AttemptEnded, Reporter, Stop


def step(fraction: float) -> Progress:
    return Progress(stage=Stage.EDIT, step=1, steps=2, fraction=fraction)


def test_only_the_newest_change_is_published_once() -> None:
    report = Reporter()
    assert report.news() is None
    report(step(0.25))
    report(step(0.5))
    assert report.news() == step(0.5)
    assert report.news() is None


def test_the_last_progress_stays_after_it_is_published() -> None:
    report = Reporter()
    assert report.last is None
    report(progress := Progress(stage=Stage.DECODE, step=1, steps=1, fraction=1.0))
    assert report.news() == report.last == progress
    assert (report.news(), report.last) == (None, progress)


def test_an_attempt_of_two_edits_has_one_fraction() -> None:
    report = Reporter()
    report.share(0.75, 0.25)
    report(step(0.5))
    news = report.news()
    assert news is not None
    assert news.fraction == 0.875


def test_the_first_reason_ends_the_edit() -> None:
    report = Reporter()
    report.stop(Stop.CLAIM_LOST)
    report.stop(Stop.CANCELED)
    with pytest.raises(AttemptEnded) as ended:
        report(step(0.5))
    assert ended.value.reason is Stop.CLAIM_LOST
    assert isinstance(ended.value, EditCanceled)
    assert report.news() == step(0.5)


def test_every_report_counts_as_liveness(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr("worker.progress.time.monotonic", lambda: next(clock))
    report = Reporter()  # at 0
    assert report.silence_s == 10
    report(step(0.1))  # at 20
    assert report.silence_s == 10
    report.check()  # at 40
    report.alive()  # at 50
    assert [report.silence_s, report.silence_s] == [10, 20]
