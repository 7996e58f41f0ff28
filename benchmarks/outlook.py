"""Early failure warnings: precision, recall and time on the demo's edits with known truth.

Every edit is written to a journal at once; the same command resumes after a kill.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from magedit.config import PRESETS, EditConfig
from magedit.demo import checkpoint_path, edit_set
from magedit.demo.edits import DemoEdit
from magedit.demo.evaluate import judge_edit
from magedit.measures.assessment import outlook
from magedit.measures.report import Ratios, StepTrace
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.prompts.kinds import with_kind

SEEDS = (1, 2, 3)
"""Seeds of the tuning edits (`benchmarks.quality`)."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """One edit: whether it succeeded, and after which guided step it was predicted to fail (0: never)."""

    succeeded: bool
    step: int
    steps: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Print precision, recall and time of the warning."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outlook", description=__doc__)
    parser.add_argument("--number", type=int, default=3, help="edits of each kind and set, per seed (default: 3)")
    parser.add_argument("--preset", choices=tuple(PRESETS), default="fast", help="(default: fast)")
    parser.add_argument("--journal", type=Path, default=Path(".cache/outlook.jsonl"), help="(default: %(default)s)")
    asked = parser.parse_args(arguments)
    asked.journal.parent.mkdir(parents=True, exist_ok=True)
    known = {line["name"]: line for line in map(json.loads, _lines(asked.journal))}
    wanted = [(f"{asked.preset}/{seed}/{each.name}", each) for seed in SEEDS for each in edit_set(asked.number, seed)]
    pipe = None
    with asked.journal.open("a") as journal:
        for name, each in track(wanted, "edits"):
            if name in known:
                continue
            if pipe is None:
                pipe = MAGEditPipeline.from_pretrained(str(checkpoint_path()))
                pipe.set_progress_bar_config(disable=True)
            known[name] = {"name": name, **_carry_out(pipe, each, asked.preset)}
            journal.write(json.dumps(known[name]) + "\n")
            journal.flush()
    _print([_told(known[name]) for name, _ in wanted], Console())


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _carry_out(pipe: MAGEditPipeline, edit: DemoEdit, preset: Any) -> dict[str, Any]:
    config = EditConfig.preset(preset)
    prompts = (edit.source_prompt, edit.target_prompt)
    kind, _ = with_kind(config, "auto", *prompts, given=frozenset(), preset=preset, has_words=False)
    output = pipe(edit.image(), edit.mask(), *prompts, config=config)
    assert isinstance(output.images, list)
    success = judge_edit(edit, output.images[0], pipe.size)["success"]
    words = output.measures.words
    return {"kind": kind, "words": words, "success": success, "trace": [asdict(s) for s in output.measures.trace]}


def _told(line: dict[str, Any]) -> Told:
    trace = [
        StepTrace(**{**step, **{name: tuple(Ratios(**each) for each in step[name]) for name in ("before", "after")}})
        for step in line["trace"]
    ]
    first = next(
        (n for n in range(1, len(trace) + 1) if outlook(trace[:n], line["kind"], line["words"]) is not None), 0
    )
    return Told(succeeded=bool(line["success"]), step=first, steps=len(trace))


def _print(told: list[Told], console: Console) -> None:
    failing, warned = [each for each in told if not each.succeeded], [each for each in told if each.step]
    right = [each for each in warned if not each.succeeded]
    console.print(
        f"{len(told)} edits, {len(failing)} fail, {len(warned)} are predicted to fail, {len(right)} of them do"
    )
    if warned and failing:
        console.print(f"precision {len(right) / len(warned):.0%}, recall {len(right) / len(failing):.0%}")
    if right:
        steps = sorted(each.step / each.steps for each in right)
        console.print(f"predicted after {steps[len(steps) // 2]:.0%} of the guided steps (median)")


if __name__ == "__main__":
    main()
