"""The console of the command line: text is printed as it is, brackets included."""

from __future__ import annotations

from rich.console import Console


def make_console(*, stderr: bool = False) -> Console:
    """A console that reads no markup: names, paths and messages may hold `[brackets]`."""
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)
