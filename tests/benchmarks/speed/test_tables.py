"""Figures as they are printed."""

from __future__ import annotations

import io

from rich.console import Console

from benchmarks.speed.costs import Cost
from benchmarks.speed.passes import Passes
from benchmarks.speed.tables import show, show_extrapolated, show_passes


def cells(text: str) -> dict[str, list[str]]:
    """The cells of each row of a printed table by its first one."""
    rows = ([cell.strip() for cell in line.strip("│┃").split("│")] for line in text.splitlines() if "│" in line)
    return {name: rest for name, *rest in rows}


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def printed(where: Console) -> dict[str, list[str]]:
    assert isinstance(where.file, io.StringIO)
    return cells(where.file.getvalue())


def test_costs_are_relative_to_the_first_row() -> None:
    where = console()
    slow = Cost(8.0, 4.0, Passes(forward=5, graded=1, backward=3, embedding=2), 4e9, 30.0, 1e9)
    show(where, "", {"slow": slow, "fast": Cost(2.0, 2.0, Passes(source=7, truncated=4), 1e9, 20.0, 2e9)})
    rows = printed(where)
    assert rows["slow"] == ["8.0", "1.00", "4.0", "1.00", "6", "0", "5", "4", "1.00", "0", "50%", "30"]
    assert rows["fast"] == ["2.0", "4.00", "2.0", "2.00", "0", "11", "0", "1", "4.00", "0", "25%", "20"]


def test_seconds_of_a_pass_are_relative_to_the_first_row() -> None:
    where = console()
    show_passes(where, "", {"64": {"forward": 0.5, "backward": 1.0}, "128": {"forward": 2.0, "backward": 3.0}})
    assert printed(where) == {"64": ["0.500 (1.0)", "1.000 (1.0)"], "128": ["2.000 (4.0)", "3.000 (3.0)"]}


def test_whole_edits_are_relative_to_the_released_row_of_their_kind() -> None:
    where, flops = console(), {"released": 8e15, "exact": 4e15, "released, every update": 6e15}
    rows = {name: {"flops": each} for name, each in flops.items()}
    timed = {"exact": {"flops": 4e15, "seconds": 10.0}, "direct, every update": {"flops": 2e15}}
    rows["released"]["seconds"] = 30.0
    show_extrapolated(where, "", rows | timed, peak=1e15)
    found = printed(where)
    assert found["exact"] == ["4.000", "2.00", "10", "3.00", "40%"]
    assert found["released, every update"][:2] == ["6.000", "1.00"]
    assert found["direct, every update"] == ["2.000", "3.00", "", "", ""]
