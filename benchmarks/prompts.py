"""Accuracy and cost of prompt reading on labelled pairs.

Each pair has a kind and the accepted lists of words. ``reported`` pairs come from use, ``own`` pairs from developing
the grammar, ``held-out`` pairs were not used for it. Time is a pair's; memory and CPU seconds of loading are those of a
fresh process between its start and its first pair.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from magedit.prompts import lexicon
from magedit.prompts.reading import Reading, read_prompts

PAIRS = Path(__file__).parent / "data" / "prompts.json"
SPLITS = ("reported", "own", "held-out")
REPEATS = 5
_LOAD = """
import sys, time, regex, magedit.prompts.reading as reading
from pathlib import Path
def resident(): return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
memory, began = resident(), time.process_time()
reading.read_prompts("a cat lying on a windowsill", "a rabbit lying on a windowsill")
print(time.process_time() - began, resident() - memory)
"""


@dataclass(frozen=True)
class ReadPair:
    """A pair of prompts with its accepted answers and its reading."""

    split: str
    kind: str
    words: tuple[tuple[str, ...], ...]
    reading: Reading

    @property
    def is_kind_right(self) -> bool:
        """Whether the kind is the accepted one."""
        return self.reading.kind == self.kind

    @property
    def are_words_right(self) -> bool:
        """Whether the default words are one of the accepted lists."""
        return self.reading.words in self.words


def read_pairs(splits: Sequence[str] = SPLITS) -> list[ReadPair]:
    """Read the pairs of these splits."""
    return [
        ReadPair(
            each["split"], each["kind"], tuple(map(tuple, each["words"])), read_prompts(each["source"], each["target"])
        )
        for each in json.loads(PAIRS.read_text())
        if each["split"] in splits
    ]


def shares(pairs: Sequence[ReadPair]) -> dict[str, float]:
    """Number of pairs, and shares with the right kind, words, both."""
    return {
        "pairs": len(pairs),
        "kind": statistics.mean(pair.is_kind_right for pair in pairs),
        "words": statistics.mean(pair.are_words_right for pair in pairs),
        "both": statistics.mean(pair.is_kind_right and pair.are_words_right for pair in pairs),
    }


def costs(pairs: Sequence[ReadPair]) -> dict[str, float]:
    """Milliseconds a pair (median over pairs of the best of `REPEATS`), and of a fresh process: CPU
    milliseconds and megabytes up to its first pair; megabytes of the lexicon's file."""
    taken = []
    for pair in pairs:
        own = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            read_prompts.__wrapped__(pair.reading.source, pair.reading.target)
            own.append(time.perf_counter() - began)
        taken.append(min(own))
    loaded = subprocess.run([sys.executable, "-c", _LOAD], check=True, capture_output=True, text=True).stdout.split()
    size = (Path(lexicon.__file__).parent / lexicon.FILE).stat().st_size
    return {
        "ms_a_pair": statistics.median(taken) * 1e3,
        "most_ms_a_pair": max(taken) * 1e3,
        "loading_ms": float(loaded[0]) * 1e3,
        "memory_mb": float(loaded[1]) / 1e6,
        "file_mb": size / 1e6,
    }


def main() -> None:
    """Print the table and the wrong ones; with ``--json`` write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="output file of the figures")
    parser.add_argument(
        "--wrong", nargs="*", choices=SPLITS, default=["reported", "own"], help="splits whose wrong pairs are shown"
    )
    asked = parser.parse_args()
    pairs = read_pairs()
    figures: dict[str, Any] = {split: shares([pair for pair in pairs if pair.split == split]) for split in SPLITS}
    console = Console()
    table = Table("pairs", "number", "kind", "words", "both")
    for split, row in figures.items():
        table.add_row(split, f"{row['pairs']:g}", *(f"{row[name]:.1%}" for name in ("kind", "words", "both")))
    console.print(table)
    for pair in pairs:
        if pair.split in asked.wrong and not (pair.is_kind_right and pair.are_words_right):
            read = pair.reading
            console.print(f"{read.source} -> {read.target}: {read.kind} {read.words}, not {pair.kind} {pair.words}")
    figures["costs"] = costs(pairs)
    console.print(figures["costs"])
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
