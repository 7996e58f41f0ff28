"""Tables of `benchmarks.quality` as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any

from benchmarks.quality.intervals import wilson
from benchmarks.quality.rows import UNGUIDED
from magedit.demo.edits import EDIT_KINDS

Figures = dict[str, Any]
"""The figures of one edit under one row."""
ATTRIBUTES = ("colour", "pattern", "part")
"""Kinds of the set that change a thing's quality."""
MEANS = (
    "success",
    "read",
    "left",
    "inside_db",
    "structure",
    "background_db",
    "token",
    "spatial",
    "token_gain",
    "spatial_gain",
    "seconds",
    "passes",
)
Summary = dict[str, dict[str, dict[str, dict[str, float | None]]]]


def with_gains(figures: Sequence[Figures]) -> list[Figures]:
    """The figures with the gains of guidance: ratios minus those of the row without it, where both exist."""
    known = {(each["edit"], each["row"]): each for each in figures}
    told = []
    for each in figures:
        base = known.get((each["edit"], UNGUIDED.get(each["row"], "")), {})
        pairs = {name: (each.get(name), base.get(name)) for name in ("token", "spatial")}
        gains = {f"{name}_gain": a - b for name, (a, b) in pairs.items() if a is not None and b is not None}
        told.append(each | gains)
    return told


def summary(figures: Sequence[Figures]) -> Summary:
    """Means by set, group and row, with the number of edits. Groups: each kind, "attribute" (colour, pattern, part),
    "twin" (attributes of a thing that has one), "all". None: no edit of the group has the figure."""
    groups: dict[tuple[str, str, str], list[Figures]] = {}
    for each in with_gains(figures):
        complexity, kind, _ = each["edit"].split("-")
        names = [kind, "all"]
        if kind in ATTRIBUTES:
            names += ["attribute", *(["twin"] if each["twin"] else [])]
        for name in names:
            groups.setdefault((complexity, name, each["row"]), []).append(each)
    table: Summary = {}
    for (complexity, group, row), results in groups.items():
        there = {name: [one[name] for one in results if one.get(name) is not None] for name in MEANS}
        means = {name: round(fmean(values), 4) if values else None for name, values in there.items()}
        table.setdefault(complexity, {}).setdefault(group, {})[row] = {"edits": len(results), **means}
    return table


GROUPS = (*EDIT_KINDS, "attribute", "all")
WITH_INTERVAL = ("attribute", "all")
"""Groups large enough for an interval to say something."""
SHOWN = {
    "inside_db": ("inside dB", "all", "{:.1f}"),
    "structure": ("structure", "attribute", "{:.2f}"),
    "background_db": ("background dB", "all", "{:.1f}"),
    "token_gain": ("token", "attribute", "{:+.3f}"),
    "spatial_gain": ("spatial", "attribute", "{:+.3f}"),
    "seconds": ("s", "all", "{:.1f}"),
    "passes": ("passes", "all", "{:.0f}"),
}
"""Beside success: heading, group and format of each figure shown."""


def markdown(table: Summary) -> Iterator[str]:
    """The summary as Markdown, line by line: a table per set, success in per cent by kind, then the other figures.

    Attributes and all edits together have a 95 % interval (Wilson) beside their share.
    """
    for complexity, groups in table.items():
        here = [group for group in GROUPS if group in groups]
        numbers = {group: max(int(row["edits"] or 0) for row in groups[group].values()) for group in here}
        heads = [*(f"{group} ({numbers[group]})" for group in here), *(heading for heading, _, _ in SHOWN.values())]
        yield f"| {complexity} | " + " | ".join(heads) + " |"
        yield "|" + "---|" * (len(heads) + 1)
        for row in groups["all"]:
            cells = [_share(groups[group][row], interval=group in WITH_INTERVAL) for group in here]
            for name, (_, group, form) in SHOWN.items():
                value = groups.get(group, groups["all"])[row][name]
                cells.append("" if value is None else form.format(value))
            yield f"| {row} | " + " | ".join(cells) + " |"
        yield ""


def _share(figures: dict[str, float | None], *, interval: bool) -> str:
    """Success in per cent; with its interval: "83 (73-90)"."""
    share, number = figures["success"] or 0.0, int(figures["edits"] or 0)
    if not interval:
        return f"{100 * share:.0f}"
    low, high = wilson(share * number, number)
    return f"{100 * share:.0f} ({100 * low:.0f}-{100 * high:.0f})"


def regressions(table: Summary) -> Iterator[str]:
    """Edits lost by guidance that succeed without it: one line per row, set and kind."""
    for complexity, groups in table.items():
        for group in (each for each in GROUPS if each in groups):
            for row, figures in groups[group].items():
                base = groups[group].get(UNGUIDED.get(row, ""))
                if base is None or (figures["success"] or 0.0) >= (base["success"] or 0.0):
                    continue
                counts = [
                    f"{round((each['success'] or 0) * (each['edits'] or 0))}/{each['edits']}"
                    for each in (figures, base)
                ]
                yield f"below the unguided edit: {complexity} {group}: {row} {counts[0]}, {UNGUIDED[row]} {counts[1]}"
