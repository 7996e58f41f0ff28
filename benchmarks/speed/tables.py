"""The tables of `benchmarks.speed`."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from benchmarks.speed.costs import Cost

RELEASED = "released"
"""The baseline row."""


def show(console: Console, title: str, costs: Mapping[str, Cost]) -> None:
    """Print a table; ratios are against its first row."""
    first = next(iter(costs.values()))
    columns = ("s", "x", "edit s", "x", "forward", "truncated", "backward", "GFLOP", "x", "GFLOP/s", "of peak", "MiB")
    table = Table("", *columns, title=title)
    for name, c in costs.items():
        p, pace = c.passes, c.flops / c.seconds
        table.add_row(
            name,
            *(f"{c.seconds:.1f}", f"{first.seconds / c.seconds:.2f}"),
            *(f"{c.edit_seconds:.1f}", f"{first.edit_seconds / c.edit_seconds:.2f}"),
            *(str(p.forward + p.graded), str(p.source + p.truncated), str(p.backward + p.embedding)),
            *(f"{c.flops / 1e9:.0f}", f"{first.flops / c.flops:.2f}"),
            *(f"{pace / 1e9:.0f}", f"{pace / c.peak:.0%}", f"{c.mebibytes:.0f}"),
        )
    console.print(table)


def show_passes(console: Console, title: str, rows: Mapping[str, Mapping[str, float]]) -> None:
    """Print seconds per kind of pass; ratios are against the first row."""
    first = next(iter(rows.values()))
    table = Table("", *first, title=title)
    for name, seconds in rows.items():
        table.add_row(name, *(f"{each:.3f} ({each / first[kind]:.1f})" for kind, each in seconds.items()))
    console.print(table)


def show_extrapolated(console: Console, title: str, rows: Mapping[str, Mapping[str, float]], peak: float) -> None:
    """Print `extrapolated`; ratios are against the released schedule's row of the same kind."""
    table = Table("", "PFLOP", "x", "s", "x", "of peak", title=title)
    for name, row in rows.items():
        _, _, rest = name.partition(", ")
        first = rows[f"{RELEASED}, every update" if rest else RELEASED]
        cells = [f"{row['flops'] / 1e15:.3f}", f"{first['flops'] / row['flops']:.2f}"]
        if "seconds" in row:
            cells += [f"{row['seconds']:.0f}", f"{first['seconds'] / row['seconds']:.2f}"]
            cells.append(f"{row['flops'] / row['seconds'] / peak:.0%}")
        table.add_row(name, *cells)
    console.print(table)
