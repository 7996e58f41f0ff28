"""The console of the command line, which prints text literally, brackets included."""

from __future__ import annotations

from rich.console import Console


def make_console(*, stderr: bool = False) -> Console:
    """A console without markup: names, paths and messages may hold `[brackets]`."""
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)
