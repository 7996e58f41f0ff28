"""What the person sees."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from rich.console import Console

from cli.display import completed, cost, describe, follow, measures_table, print_finished
from magedit.client import Client, Edit, Measures, ResultMeasures
from tests.magedit.client.test_models import ANSWER
from tests.service.conftest import Form, WorkerSide

BASE: dict[str, Any] = ANSWER | {
    "queue_position": None,
    "timings": ANSWER["timings"] | {"running_s": 12.25},
    "results": [],
}


def edit(**changes: Any) -> Edit:
    return Edit.model_validate(BASE | changes)


@pytest.mark.parametrize(
    ("changes", "line", "share"),
    [
        ({"queue_position": 3, "eta_s": 20.0}, "queued, 3 ahead of it, about 20 s left", 0.0),
        (
            {"state": "running", "progress": {"stage": "edit", "step": 5, "steps": 50, "fraction": 0.3}},
            "edit 5/50",
            0.3,
        ),
        ({"state": "succeeded"}, "succeeded", 1.0),
    ],
)
def test_one_line_says_where_it_stands(changes: dict[str, Any], line: str, share: float) -> None:
    assert describe(edit(**changes)) == line
    assert completed(edit(**changes)) == share


MEASURES: dict[str, Any] = {
    "before": [{"token": 0.1, "spatial": 0.2}],
    "after": [{"token": 0.6, "spatial": 0.7}],
    "unguided": [{"token": 0.11, "spatial": 0.22}],
    "words": [["yellow carpet"]],
    "unet_forward": 100,
    "unet_truncated_forward": 400,
    "unet_backward": 375,
    "stage_seconds": {"invert": 1.0, "edit": 9.5},
    "crop": [0, 0, 128, 128],
    "outside_difference": 0,
    "paste_margin_px": 4,
}


def shown(done: Edit) -> str:
    text = io.StringIO()
    print_finished(done, Console(file=text, width=120))
    return text.getvalue()


def test_ratios_without_and_with_guidance() -> None:
    done = edit(state="succeeded", measures=MEASURES)
    for part in ("yellow carpet", "0.110", "0.600", "0.220", "0.700"):
        assert part in shown(done)
    assert cost(done) == "12.2 s (invert 1.0 s, edit 9.5 s); UNet: 100 forward, 400 truncated, 375 backward"


@pytest.mark.parametrize("results", [0, 2])
def test_an_edit_without_ratios_shows_only_its_cost(results: int) -> None:
    none: dict[str, Any] = {"before": [], "after": []}
    each = [{"seed": seed, "strength": 1.0, **none} for seed in range(results)]
    done = edit(state="succeeded", measures=MEASURES | none | {"unguided": None, "words": [[]], "results": each})
    assert shown(done).startswith("12.2 s (invert")


def test_regions_without_words_are_left_out() -> None:
    twice = {name: MEASURES[name] * 2 for name in ("before", "after", "unguided")}
    done = edit(state="succeeded", measures=MEASURES | twice | {"words": [[], ["carpet"]]})
    assert measures_table(done).row_count == 2


def test_results_of_several_methods_are_labelled() -> None:
    ratios: dict[str, Any] = {name: MEASURES[name] for name in ("before", "after")}
    bare: dict[str, Any] = {"seed": 3, "strength": 0.5, **ratios}
    several = (ResultMeasures(method="p2p", **bare), ResultMeasures(method="pnp", **bare), ResultMeasures(**bare))
    done = edit(state="succeeded", measures=Measures(**MEASURES).model_copy(update={"results": several}))
    for part in ("0: p2p, seed 3, strength 0.5", "1: pnp, seed 3", "2: seed 3"):
        assert part in shown(done)


def test_ctrl_c_cancels_the_edit(
    client: httpx.Client, form: Form, worker_side: WorkerSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_id = form.send(client).json()["id"]

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    with Client(str(client.base_url)) as service:
        monkeypatch.setattr("time.sleep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            follow(service, edit_id, Console(file=io.StringIO()))
    assert worker_side.records.require(edit_id, "local").state == "canceled"


def test_place_in_line_and_estimate_go_on_while_the_edit_waits(
    client: httpx.Client, form: Form, worker_side: WorkerSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other edits move them, so that nothing of the edit's own record changes: they have to be asked for."""
    worker_side.models.keep_pace("demo", 1.0)
    first, second, last = (form.send(client).json()["id"] for _ in range(3))
    # What happens between two looks at the edit.
    meanwhile: Iterator[Callable[[], object]] = iter(
        [
            lambda: worker_side.claim(first),
            lambda: None,
            lambda: client.put(f"/v1/edits/{second}/cancel"),
            lambda: worker_side.succeed(worker_side.claim(last)),
        ]
    )
    monkeypatch.setattr("magedit.client.sync.time", SimpleNamespace(sleep=lambda _: next(meanwhile)()))
    shown: list[Edit] = []

    def described(edit: Edit) -> str:
        shown.append(edit)
        return describe(edit)

    monkeypatch.setattr("cli.display.describe", described)
    with Client(str(client.base_url)) as service:
        follow(service, last, Console(file=io.StringIO()))
    assert [(each.state, each.queue_position) for each in shown] == [
        *(("queued", 2), ("queued", 1), ("queued", 0)),
        ("succeeded", None),
    ]
    whole = shown[2].eta_s or 0.0
    assert whole > 0
    assert [each.eta_s for each in shown[:2]] == [pytest.approx(3 * whole, abs=0.5), pytest.approx(2 * whole, abs=0.5)]
