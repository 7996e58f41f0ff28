import json
import random
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from recipes.presets.parameters import Schedule
from recipes.training.loop import OutOfBudgetError, Run, rate, save_atomically, snapshot_path, train


class _Line:
    """A stage that fits a linear map; `stop_at` raises as a kill would, between two snapshots."""

    name = "line"

    def __init__(self, samples: int, average: float = 0.0, stop_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.model: nn.Module = nn.Linear(3, 3)
        self.schedule = Schedule(samples=samples, batch=4, muon=0.02, adam=0.01, warmup=8)
        self.average = average
        self.stop_at = stop_at
        self.calls = 0

    def loss(self, seed: str, progress: float) -> tuple[Tensor, dict[str, float]]:
        assert 0 <= progress < 1
        self.calls += 1
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        noise = torch.Generator().manual_seed(random.Random(seed).getrandbits(60))
        x = torch.randn(4, 3, generator=noise)
        return (self.model(x) + x).square().mean(), {"x": float(x.mean())}


def test_the_rate_warms_up_stays_and_falls() -> None:
    schedule = Schedule(samples=1000, batch=10, muon=1.0, adam=1.0, warmup=100, decay=0.5, floor=0.03)
    assert rate(schedule, 0) == pytest.approx(0.1)
    assert rate(schedule, 300) == 1
    assert rate(schedule, 750) == pytest.approx(0.5)
    assert rate(schedule, 999) == pytest.approx(0.03)


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_an_interrupted_run_ends_where_an_unbroken_one_does(tmp_path: Path, average: float) -> None:
    whole = _Line(160, average)
    train(whole, Run(state=tmp_path / "whole", seed=1, snapshot_s=0.0))
    (tmp_path / "broken").mkdir()
    with pytest.raises(KeyboardInterrupt):
        train(_Line(160, average, stop_at=17), Run(state=tmp_path / "broken", seed=1, snapshot_s=0.0))
    resumed = _Line(160, average)
    train(resumed, Run(state=tmp_path / "broken", seed=1, snapshot_s=0.0))
    assert resumed.calls == 40 - 16
    for one, two in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_a_finished_run_can_be_made_longer(tmp_path: Path) -> None:
    train(_Line(40), Run(state=tmp_path, seed=1))
    longer = _Line(80)
    train(longer, Run(state=tmp_path, seed=1))
    assert longer.calls == 10


def test_a_spent_budget_leaves_a_snapshot(tmp_path: Path) -> None:
    with pytest.raises(OutOfBudgetError, match="line stopped at 4 of 40"):
        train(_Line(40), Run(state=tmp_path, seed=1, deadline=time.monotonic()))
    assert torch.load(snapshot_path(Run(state=tmp_path, seed=1), "line"), weights_only=True)["seen"] == 4


def test_curves_are_lines_of_json(tmp_path: Path) -> None:
    train(_Line(400), Run(state=tmp_path, seed=1))
    lines = [json.loads(line) for line in (tmp_path / "line.jsonl").read_text().splitlines()]
    assert [line["seen"] for line in lines] == [100, 200, 300, 400]
    assert lines[-1]["loss"] < lines[0]["loss"]


def test_saving_leaves_no_temporary_file(tmp_path: Path) -> None:
    for number in range(2):
        save_atomically({"number": number}, tmp_path / "sub" / "state.pt")
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["state.pt"]
    assert torch.load(tmp_path / "sub" / "state.pt", weights_only=True) == {"number": 1}
