"""What the person sees."""

from __future__ import annotations

import io
from typing import Any

import httpx
import pytest
from rich.console import Console

from cli.client import Client, Edit
from cli.show import completed, cost, describe, follow, measures_table
from tests.service.conftest import Form, WorkerSide

BASE: dict[str, Any] = {
    "id": "1",
    "state": "queued",
    "model": "demo",
    "priority": "normal",
    "deadline_at": None,
    "queue_position": None,
    "progress": None,
    "eta_s": None,
    "attempt": 0,
    "seed": None,
    "timings": {
        "created_at": "2026-01-01T00:00:00Z",
        "started_at": None,
        "finished_at": None,
        "waiting_s": None,
        "running_s": 12.25,
    },
    "measures": None,
    "results": [],
    "artifacts": [],
    "expires_at": None,
    "problem": None,
}


def edit(**changes: Any) -> Edit:
    return Edit.model_validate(BASE | changes)


@pytest.mark.parametrize(
    ("changes", "line", "share"),
    [
        ({"queue_position": 3, "eta_s": 20.0}, "queued, 3 before it, about 20 s left", 0.0),
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


def test_ratios_without_and_with_guidance() -> None:
    measures = {
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
        "dilation": 4,
    }
    done = edit(state="succeeded", measures=measures)
    text = io.StringIO()
    Console(file=text, width=100).print(measures_table(done))
    for part in ("yellow carpet", "0.110", "0.600", "0.220", "0.700"):
        assert part in text.getvalue()
    assert cost(done) == "12.2 s (invert 1.0 s, edit 9.5 s); UNet: 100 forward, 400 truncated, 375 backward"


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
