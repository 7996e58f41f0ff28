"""PIE-Bench (Ju et al., arXiv 2310.01506): 700 pictures, ten kinds of edit. Needs its data and three sets of weights.

    python -m benchmarks.pie_bench --data PIE-Bench --checkpoint CompVis/stable-diffusion-v1-4 \\
        --dino facebook/dino-vitb8 --clip openai/clip-vit-large-patch14 --lpips squeezenet1_1.pth squeeze.pth

``--data`` is the folder with ``mapping_file.json`` and ``annotation_images``. Every figure is written to a journal at
once; the same command resumes after a kill.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.pie_bench.metrics import Lpips, Mask, Picture, Structure, TextSimilarity, mse, psnr, ssim
from benchmarks.quality.rows import BY_KIND, ROWS
from magedit.config import EditConfig, Region
from magedit.errors import WordNotFound
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.prompts.alignment import find_word
from magedit.prompts.kinds import with_kind
from magedit.prompts.reading import read_prompts

SIDE = 512
"""Side of the data set's pictures in pixels."""

KINDS = (
    *("random", "change object", "add object", "delete object", "change content"),
    *("change pose", "change colour", "change material", "change background", "change style"),
)
"""The kinds of edit by their number in the data set (arXiv 2310.01506, table 3)."""

FIGURES = ("structure", "psnr", "lpips", "mse", "ssim", "clip_whole", "clip_edited")
"""Structure distance of the whole, then PSNR, LPIPS, MSE and SSIM outside the mask, then CLIP similarities."""


@dataclass(frozen=True)
class Item:
    """One edit of the data set. ``runs`` is the mask: start, length, start, length, ... in row order."""

    name: str
    kind: str
    path: Path
    source_prompt: str
    target_prompt: str
    words: tuple[str, ...]
    runs: tuple[int, ...]

    def image(self) -> Image.Image:
        """The picture to edit, RGB."""
        return Image.open(self.path).convert("RGB")


def read(folder: Path, kinds: Sequence[str] = KINDS) -> Iterator[Item]:
    """The edits of ``kinds`` in the data set's folder, in its order. Brackets in a prompt mark what changes."""
    for name, entry in json.loads((folder / "mapping_file.json").read_text()).items():
        kind = KINDS[int(entry["editing_type_id"])]
        if kind not in kinds:
            continue
        target = plain(entry["editing_prompt"])
        yield Item(
            name=name,
            kind=kind,
            path=folder / "annotation_images" / entry["image_path"],
            source_prompt=plain(entry["original_prompt"]),
            target_prompt=target,
            words=tuple(word for word in re.findall(r"\[(.+?)\]", entry["editing_prompt"]) if _stands_in(word, target)),
            runs=tuple(entry["mask"]),
        )


def plain(prompt: str) -> str:
    """A prompt without the brackets around what changes."""
    return prompt.replace("[", "").replace("]", "")


def decode(runs: Sequence[int], side: int = SIDE, *, border: bool = True) -> Mask:
    """The mask (side, side) of 0 and 1. ``border``: the outermost pixels count as edited, as in the published
    evaluation, against errors of annotation there."""
    flat = np.zeros(side * side, dtype=np.uint8)
    for start, length in zip(runs[::2], runs[1::2], strict=True):
        flat[start : start + length] = 1
    mask = flat.reshape(side, side)
    if border:
        mask[[0, -1], :] = 1
        mask[:, [0, -1]] = 1
    return mask


@dataclass(frozen=True)
class Judge:
    """The models for the figures."""

    structure: Structure
    text: TextSimilarity
    lpips: Lpips

    def figures(self, item: Item, result: Picture) -> dict[str, float | None]:
        """All figures of a result; None where its part of the picture is empty."""
        source, mask = np.asarray(item.image()), decode(item.runs)
        kept: Mask = 1 - mask
        outside = kept.any()
        return {
            "structure": self.structure(source, result),
            "psnr": psnr(source, result, kept) if outside else None,
            "lpips": self.lpips.distance(source, result, kept) if outside else None,
            "mse": mse(source, result, kept) if outside else None,
            "ssim": ssim(source, result, kept) if outside else None,
            "clip_whole": self.text(result, item.target_prompt),
            "clip_edited": self.text(result, item.target_prompt, mask),
        }


def carry_out(pipe: MAGEditPipeline, item: Item, config: EditConfig) -> Picture:
    """The edited picture; without guidance where the target prompt has no words to guide. No mask: all of it."""
    mask = decode(item.runs, border=False)
    if not mask.any():
        mask[:] = 1
    words = item.words if config.guided_steps else ()
    used = config if words else replace(config, strength=0.0)
    output = pipe(
        item.image(), [Image.fromarray(mask * 255)], item.source_prompt, item.target_prompt, [Region(words=words)], used
    )
    assert isinstance(output.images, list)
    return np.asarray(output.images[0].convert("RGB"))


def resolved(name: str, item: Item, config: EditConfig) -> tuple[Item, EditConfig]:
    """The edit and its configuration under row ``name``: of a row by kind, what the service makes of its prompts."""
    if name not in BY_KIND:
        return item, config.closed()
    prompts = (item.source_prompt, item.target_prompt)
    # The unguided row stays unguided, regardless of its kind's strength.
    given = [] if config.is_guided else ["strength"]
    _, fitted = with_kind(config, "auto", *prompts, given=given, preset="balanced", has_words=bool(item.words))
    return replace(item, words=item.words or _filling(*prompts)), fitted


def _filling(source: str, target: str) -> tuple[str, ...]:
    """The filling of a removal; None for other edits, whose words the pipeline derives."""
    reading = read_prompts(source, target)
    return () if reading.words else reading.default_words


def run(
    pipe: MAGEditPipeline, judge: Judge, items: Sequence[Item], rows: dict[str, EditConfig], journal: Path
) -> list[dict[str, Any]]:
    """The figures of every item under every row; entries of the journal are not recomputed."""
    journal.parent.mkdir(parents=True, exist_ok=True)
    settings = json.loads(json.dumps({name: asdict(row) for name, row in rows.items()}))
    lines = journal.read_text().splitlines(keepends=True) if journal.exists() else []
    known = [json.loads(line) for line in lines if line.endswith("\n")]
    known = [each for each in known if settings.get(each["row"]) == each["config"]]
    done = {(each["row"], each["item"]) for each in known}
    with journal.open("a") as file:
        if lines and not lines[-1].endswith("\n"):  # a kill cut it off
            file.write("\n")
        for item in track(items, "edits"):
            for name, config in rows.items():
                if (name, item.name) in done:
                    continue
                figures = judge.figures(item, carry_out(pipe, *resolved(name, item, config)))
                entry = {"row": name, "item": item.name, "kind": item.kind, "config": settings[name], **figures}
                known.append(json.loads(json.dumps(entry)))
                file.write(json.dumps(entry) + "\n")
                file.flush()
    return known


def summary(figures: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Means by kind ("all": over all edits) and row, with the number of edits; a figure that is None does not count."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    for kind in ("all", *KINDS):
        for row in dict.fromkeys(each["row"] for each in figures):
            found = [each for each in figures if each["row"] == row and kind in {"all", each["kind"]}]
            if not found:
                continue
            means = {
                name: fmean(values)
                for name in FIGURES
                if (values := [each[name] for each in found if each[name] is not None])
            }
            table.setdefault(kind, {})[row] = {"edits": len(found), **means}
    return table


def show(table: dict[str, dict[str, dict[str, float]]]) -> Table:
    """The summary for a terminal; small figures times a power of ten, as published."""
    shown = Table(title="PIE-Bench")
    scale = {"structure": 1e3, "lpips": 1e3, "mse": 1e4, "ssim": 1e2}
    columns = (f"{name} x {scale[name]:g}" if name in scale else name.replace("_", " ") for name in FIGURES)
    for column in ("kind", "row", "edits", *columns):
        shown.add_column(column)
    for kind, rows in table.items():
        for row, means in rows.items():
            cells = (f"{means[name] * scale.get(name, 1):.2f}" if name in means else "-" for name in FIGURES)
            shown.add_row(kind, row, f"{means['edits']:g}", *cells)
    return shown


def _stands_in(word: str, prompt: str) -> bool:
    try:
        return bool(find_word(prompt, word))
    except WordNotFound:
        return False


def main() -> None:
    """Run the edits that the journal lacks, print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--checkpoint", required=True, help="folder or hub id of Stable Diffusion 1.x/2.x layout")
    parser.add_argument("--dino", required=True, help="folder or hub id of DINO ViT-B/8")
    parser.add_argument("--clip", required=True, help="folder or hub id of CLIP ViT-L/14")
    parser.add_argument("--lpips", type=Path, nargs=2, required=True, help="squeezenet1_1 and LPIPS' squeeze weights")
    parser.add_argument("--rows", nargs="*", choices=list(ROWS), default=["p2p", "token"], help="what to compare")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--limit", type=int, help="only this many edits")
    parser.add_argument("--steps", type=int, default=EditConfig.steps)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--journal", type=Path, default=Path(".cache/pie-bench.jsonl"))
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    pipe = MAGEditPipeline.from_pretrained(asked.checkpoint).to(asked.device)
    judge = Judge(
        Structure.load(asked.dino, asked.device),
        TextSimilarity.load(asked.clip, asked.device),
        Lpips.load(asked.lpips, asked.device),
    )
    rows = {name: replace(ROWS[name], steps=asked.steps) for name in asked.rows}
    items = list(read(asked.data, asked.kinds))[: asked.limit]
    table = summary(run(pipe, judge, items, rows, asked.journal))
    Console(width=160).print(show(table))
    if asked.json:
        asked.json.write_text(json.dumps(table, indent=1) + "\n")
