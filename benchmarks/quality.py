"""Edits with known truth, with and without guidance (`make bench-quality`): a table of rows by kind.

Two sets are kept apart: *plain* edits, which the prompts alone can localize, and *complex* ones, which only the mask
can. Every figure of every edit goes to a journal as soon as it is known; the same command goes on after a kill.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.metrics import structure
from magedit.config import EditConfig, Region
from magedit.demo import checkpoint_path, edit_set
from magedit.demo.edits import DemoEdit, in_room
from magedit.demo.evaluate import judge_edit, load_pipeline, psnr
from magedit.kinds import KINDS, EditKind, with_kind
from magedit.masks import paste_back
from magedit.pipeline import MAGEditPipeline

_FREE: dict[str, Any] = {"cross_replace": 0.0, "self_replace": 0.0}
ROWS: dict[str, EditConfig] = {
    "p2p": EditConfig(method="p2p"),
    "prompt + blend": EditConfig(method="p2p", blend_fraction=1.0, **_FREE),
    "token": EditConfig(),
    "spatial": EditConfig(constraint="spatial"),
    "both": EditConfig(constraint="both"),
    "token, no injection": EditConfig(**_FREE),
    "spatial, no injection": EditConfig(constraint="spatial", **_FREE),
    "both, no injection": EditConfig(constraint="both", **_FREE),
    "p2p, no blend": EditConfig(method="p2p", blend_fraction=0.0),
    "p2p + local blend": EditConfig(method="p2p", blend_fraction=0.0, local_blend=0.3),
    "p2p, null-text": EditConfig(method="p2p", inversion="null-text"),
    "p2p, negative-prompt": EditConfig(method="p2p", inversion="negative-prompt"),
    "p2p, proximal": EditConfig(method="p2p", inversion="proximal"),
    "p2p, style": EditConfig(method="p2p", inversion="style"),
    "pnp": EditConfig(method="pnp", blend_fraction=0.0),
    "pnp + blend": EditConfig(method="pnp"),
    "token on pnp": EditConfig(injection="pnp"),
    "diffedit": EditConfig(method="diffedit"),
    "diffedit, own mask": EditConfig(method="diffedit", mask_source="own"),
    "blended-latent": EditConfig(method="blended-latent"),
    "sine": EditConfig(method="sine"),
    "token, less injection": EditConfig(cross_replace=0.4, self_replace=0.2, blend_fraction=1.0),
    "token, less injection, 0.63": EditConfig(cross_replace=0.4, self_replace=0.2, blend_fraction=1.0, strength=0.63),
    "token, blend": EditConfig(blend_fraction=1.0, **_FREE),
    "token, blend, 0.63": EditConfig(blend_fraction=1.0, strength=0.63, **_FREE),
    "kind": EditConfig(),
}
"""What is compared; everything else is the default, in `KIND` that of the edit's kind. A removal is guided by the words
of what fills the place (`magedit.demo.edits.in_room`)."""
KIND = "kind"
KIND_OF: dict[str, EditKind] = {"replacement": "replacement", "addition": "addition", "removal": "removal"}
"""Kinds of the set by those of an edit; the others are attributes."""
DEFAULT_ROWS = (*tuple(ROWS)[:8], KIND)
FIGURES = ("success", "read", "left", "inside_db", "structure", "background_db", "token_gain", "spatial_gain")
COSTS = ("seconds", "forward", "truncated", "backward")

_PIPELINE: dict[str, MAGEditPipeline] = {}


def _start(checkpoint: Path, device: str) -> None:
    torch.set_num_threads(1)
    _PIPELINE["here"] = load_pipeline(checkpoint, device)


@torch.no_grad()
def measure(pipe: MAGEditPipeline, edit: DemoEdit, config: EditConfig) -> dict[str, float]:
    """Carry out one edit and compare it with its truth."""
    size = pipe.size
    image, mask = edit.image(size), edit.mask(size)
    output = pipe(
        image, [mask], edit.source_prompt, edit.target_prompt, [Region(words=edit.words)], config, output_type="latent"
    )
    measures = output.measures
    pixels = pipe.vae.decode(output.images / pipe.vae.config.scaling_factor).sample
    array = ((pixels[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
    drawn = Image.fromarray(array)
    result = paste_back(image, drawn, mask, measures.crop, measures.dilation)
    inside = np.asarray(mask) > 0
    gains = [
        (after.token - before.token, after.spatial - before.spatial)
        for before, after in zip(measures.before, measures.after, strict=True)
    ]
    return {
        **judge_edit(edit, result, size),
        "structure": round(structure(result, edit.truth(size), inside), 4),
        "background_db": round(psnr(drawn, image, ~inside), 2),
        "token_gain": round(gains[0][0], 5) if gains else 0.0,
        "spatial_gain": round(gains[0][1], 5) if gains else 0.0,
        "seconds": round(sum(measures.stage_seconds.values()), 2),
        "forward": measures.unet_forward,
        "truncated": measures.unet_truncated_forward,
        "backward": measures.unet_backward,
    }


def resolved(name: str, edit: DemoEdit, config: EditConfig) -> tuple[DemoEdit, EditConfig]:
    """The edit with words that guidance can raise, and ``config`` as row ``name`` has it for this edit."""
    if edit.kind == "removal":
        edit = in_room(edit)
    if name == KIND:
        prompts = (edit.source_prompt, edit.target_prompt)
        kind = KIND_OF.get(edit.kind, "attribute")
        _, config = with_kind(config, kind, *prompts, given=(), preset="balanced", has_words=True)
    return edit, config


def _work(name: str, edit: DemoEdit, config: EditConfig) -> dict[str, Any]:
    edit, config = resolved(name, edit, config)
    return {"row": name, "edit": edit.name, **measure(_PIPELINE["here"], edit, config)}


def _fingerprint(checkpoint: Path, rows: dict[str, EditConfig], seed: int) -> str:
    """Names a run: figures of another checkpoint, of other settings or another seed are not mixed with it."""
    settings: dict[str, Any] = {name: asdict(row) for name, row in sorted(rows.items())}
    if KIND in rows:
        settings["kinds"] = {kind: dict(values) for kind, values in KINDS.items()}
    digest = hashlib.sha256(json.dumps([seed, settings]).encode())
    for path in sorted(checkpoint.rglob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def run(
    checkpoint: Path,
    rows: dict[str, EditConfig],
    edits: Sequence[DemoEdit],
    seed: int,
    *,
    state: Path,
    processes: int = 1,
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """The figures of ``edits``, drawn with ``seed``, under every row; what the journal has is not done again."""
    state.mkdir(parents=True, exist_ok=True)
    journal = state / f"{_fingerprint(checkpoint, rows, seed)}.jsonl"
    lines = journal.read_text().splitlines(keepends=True) if journal.exists() else []
    whole = [line for line in lines if line.endswith("\n")]  # a kill may have cut the last one
    journal.write_text("".join(whole))
    known = [json.loads(line) for line in whole]
    done = {(each["row"], each["edit"]) for each in known}
    todo = [(name, edit, row) for edit in edits for name, row in rows.items() if (name, edit.name) not in done]
    names = {edit.name for edit in edits}
    spawn = multiprocessing.get_context("spawn")
    if todo:
        with (
            ProcessPoolExecutor(processes, spawn, initializer=_start, initargs=(checkpoint, device)) as pool,
            journal.open("a") as file,
        ):
            for figures in track(pool.map(_work, *zip(*todo, strict=True)), "edits", total=len(todo)):
                file.write(json.dumps(figures) + "\n")
                file.flush()
                known.append(figures)
    return [each for each in known if each["edit"] in names]


def summary(figures: Iterable[dict[str, Any]]) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Means by set, kind ("all": over kinds) and row, with the number of edits."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for each in figures:
        complexity, kind, _ = each["edit"].split("-")
        for group in (kind, "all"):
            groups.setdefault((complexity, group, each["row"]), []).append(each)
    table: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for (complexity, kind, row), results in groups.items():
        means = {name: round(fmean(one[name] for one in results), 4) for name in (*FIGURES, *COSTS)}
        table.setdefault(complexity, {}).setdefault(kind, {})[row] = {"edits": len(results), **means}
    return table


def show(table: dict[str, dict[str, dict[str, dict[str, float]]]]) -> Table:
    """The summary for a terminal."""
    columns = ("edits", "success", "read", "left", "inside_db", "structure", "background_db", "seconds")
    shown = Table(title="edits with known truth")
    for name in ("set", "kind", "row", *columns):
        shown.add_column(name)
    for complexity, kinds in table.items():
        for kind, rows in kinds.items():
            for row, means in rows.items():
                shown.add_row(complexity, kind, row, *(f"{means[name]:g}" for name in columns))
    return shown


def main() -> None:
    """Run what is missing, print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=checkpoint_path())
    parser.add_argument("--edits", type=int, default=12, help="edits of each of 6 kinds in each of 2 sets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", nargs="*", choices=list(ROWS), default=list(DEFAULT_ROWS), help="what to compare")
    parser.add_argument("--steps", type=int, default=EditConfig.steps)
    parser.add_argument("--processes", type=int, default=1, help="one thread each")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--state", type=Path, default=Path(".cache/quality"), help="folder of the journals")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    rows = {name: replace(ROWS[name], steps=asked.steps) for name in asked.rows}
    figures = run(
        asked.checkpoint,
        rows,
        edit_set(asked.edits, asked.seed),
        asked.seed,
        state=asked.state,
        processes=asked.processes,
        device=asked.device,
    )
    table = summary(figures)
    Console(width=140).print(show(table))
    if asked.json:
        asked.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
