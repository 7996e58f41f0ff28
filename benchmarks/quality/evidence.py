"""Evidence for each failing edit (`python -m benchmarks.quality.evidence`): a page of pictures and its likely cause."""

from __future__ import annotations

import argparse
import csv
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path

import torch
from numpy import asarray
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.progress import track
from torch import Tensor

from benchmarks.quality.rows import CEILING, ROWS, UNGUIDED
from benchmarks.quality.run import SEEDS, edits_of, resolved, run
from benchmarks.quality.sheet import outlined
from benchmarks.quality.tables import Figures
from magedit.config import EditConfig, Region
from magedit.demo import checkpoint_path
from magedit.demo.edits import DemoEdit
from magedit.demo.evaluate import load_pipeline
from magedit.images.heatmap import heat_map
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.pipelines.output import MAGEditOutput

SIDE = 192
CAPTION = 18
GAP = 4
FONT = 11
MAPS = 6
"""Steps whose maps are shown, evenly over the guided ones."""
ROW = "kind"
WINNING_CONTRAST = 2.0
LEFT_AS_NEAR = 0.5
"""Remaining share of the error (`judge_edit`) below which a result is closer to the truth than to the source."""

CAUSES: Mapping[str, str] = {
    "beyond the VAE": "the true picture also fails after passing through the VAE",
    "spoiled by guidance": "the same edit without guidance succeeds",
    "word does not win": f"the words attend less than {WINNING_CONTRAST:g} times as much inside the mask as outside",
    "picture does not follow": "the words win inside the mask, but the result stays closer to the source than to the "
    "truth",
    "drawn wrong": "closer to the truth than to the source, but not recognised as the requested edit",
}
"""In order of priority; the first that applies is the edit's."""


def contrast(attention: Tensor, mask: Image.Image) -> float:
    """Mean of a map (side, side) inside the mask over its mean outside, from 0 upwards; infinite where that is 0."""
    side = attention.shape[-1]
    inside = asarray(mask.resize((side, side), Image.Resampling.BOX), dtype=float) / 255
    values = attention.cpu().double().numpy()
    outside = float((values * (1 - inside)).sum() / max((1 - inside).sum(), 1e-9))
    return float((values * inside).sum() / max(inside.sum(), 1e-9)) / outside if outside > 0 else inf


def cause(guided: Figures, unguided: Figures, ceiling: Figures, won: float) -> str:
    """The cause of a failed edit, one of `CAUSES`: from its figures, those of two other rows, and its `contrast`."""
    if not ceiling["success"]:
        return "beyond the VAE"
    if unguided["success"]:
        return "spoiled by guidance"
    if won < WINNING_CONTRAST:
        return "word does not win"
    return "drawn wrong" if guided.get("left", 1.0) < LEFT_AS_NEAR else "picture does not follow"


def examine(
    pipe: MAGEditPipeline,
    edit: DemoEdit,
    figures: Mapping[str, Figures],
    rows: Mapping[str, EditConfig] = ROWS,
) -> tuple[str, float, Image.Image]:
    """A failed edit's cause, its contrast, and its page: pictures with and without guidance, maps over the steps."""
    image, mask = edit.image(pipe.size), edit.mask(pipe.size)
    outputs: dict[str, MAGEditOutput] = {}
    for row in (UNGUIDED[ROW], ROW):
        used, config = resolved(row, edit, rows[row])
        outputs[row] = pipe(image, [mask], used.source_prompt, used.target_prompt, [Region(words=used.words)], config)
    guided = outputs[ROW]
    won = contrast(guided.attention[0], mask)
    why = cause(figures[ROW], figures[UNGUIDED[ROW]], figures[CEILING], won)
    with torch.no_grad():
        source = pipe.backbone.decode(guided.edited[0].source)
    pictures = [
        ("before, and the mask", outlined(edit.image(SIDE), edit.mask(SIDE))),
        ("truth", edit.truth(SIDE)),
        ("source branch", source),
        *((row, _picture(output)) for row, output in outputs.items()),
    ]
    told = [
        f"{edit.name}: {why} ({CAUSES[why]})",
        f"{edit.source_prompt}  ->  {edit.target_prompt}   [{', '.join(edit.words)}]",
        *(_line(row, figures[row], output, mask) for row, output in outputs.items()),
    ]
    return why, won, _page(told, [pictures, *(_maps(row, output, image) for row, output in outputs.items())])


def _picture(output: MAGEditOutput) -> Image.Image:
    (picture,) = output.images
    assert isinstance(picture, Image.Image)
    return picture


def _line(row: str, figures: Figures, output: MAGEditOutput, mask: Image.Image) -> str:
    known = [f"{name} {figures[name]}" for name in ("left", "read", "token", "spatial", "structure") if name in figures]
    updates = sum(step.iterations for step in output.measures.trace)
    return f"{row}: {', '.join(known)}, contrast {contrast(output.attention[0], mask):.2f}, {updates} updates"


def _maps(row: str, output: MAGEditOutput, image: Image.Image) -> list[tuple[str, Image.Image]]:
    """The first region's maps at some steps, each with its ratios."""
    steps, trace = output.attention_steps, output.measures.trace
    chosen = sorted({round(each * (len(steps) - 1) / (MAPS - 1)) for each in range(MAPS)}) if steps else []
    shown = []
    for index in chosen:
        ratios = trace[index].after[0]
        heat = heat_map(steps[index][0].tolist(), image, output.measures.crop)
        shown.append((f"{row}, step {trace[index].step}: {ratios.token:.3f} {ratios.spatial:.3f}", heat))
    return shown


def _page(told: Sequence[str], rows: Sequence[Sequence[tuple[str, Image.Image]]]) -> Image.Image:
    rows = [row for row in rows if row]
    width = max(len(row) for row in rows) * (SIDE + GAP)
    page = Image.new("RGB", (width, len(told) * CAPTION + len(rows) * (SIDE + CAPTION + GAP)), "white")
    draw, font, top = ImageDraw.Draw(page), ImageFont.load_default(FONT), 0
    for line in told:
        draw.text((2, top), line, "black", font)
        top += CAPTION
    for row in rows:
        for place, (caption, picture) in enumerate(row):
            left = place * (SIDE + GAP)
            draw.text((left + 2, top), caption, "black", font)
            page.paste(picture.convert("RGB").resize((SIDE, SIDE)), (left, top + CAPTION))
        top += SIDE + CAPTION + GAP
    return page


def main() -> None:
    """Find the failed edits, running those that the journal lacks, and write their pages and causes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=checkpoint_path())
    parser.add_argument("--edits", type=int, default=4, help="edits of each of 6 kinds in each of 2 sets, a seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS["tuning"]), help="which edits")
    parser.add_argument("--processes", type=int, default=1, help="one thread each")
    parser.add_argument("--state", type=Path, default=Path(".cache/quality"), help="folder of the journal")
    parser.add_argument("--out", type=Path, default=Path(".cache/quality/evidence"), help="folder of the pages")
    asked = parser.parse_args()
    edits = edits_of(asked.edits, asked.seeds)
    rows = {name: ROWS.get(name, EditConfig()) for name in (CEILING, UNGUIDED[ROW], ROW)}
    by_edit: dict[str, dict[str, Figures]] = defaultdict(dict)
    for each in run(asked.checkpoint, rows, edits, state=asked.state, processes=asked.processes):
        by_edit[each["edit"]][each["row"]] = each
    failed = [edit for edit in edits if not by_edit[edit.name][ROW]["success"]]
    write(load_pipeline(asked.checkpoint), failed, by_edit, asked.out)


def write(
    pipe: MAGEditPipeline, failed: Sequence[DemoEdit], by_edit: Mapping[str, Mapping[str, Figures]], out: Path
) -> None:
    """A page per failed edit, `causes.csv`, and the causes' shares on the screen."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    counted: Counter[str] = Counter()
    with (out / "causes.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("edit", "cause", "contrast", "left", "read"))
        for edit in track(failed, "evidence"):
            figures = by_edit[edit.name]
            why, won, drawn = examine(pipe, edit, figures)
            drawn.save(out / f"{edit.name}.png")
            table.writerow((edit.name, why, f"{won:.2f}", figures[ROW].get("left"), figures[ROW]["read"]))
            counted[why] += 1
    screen = Console(soft_wrap=True)
    for why, number in counted.most_common():
        screen.print(f"{number:4} of {len(failed)}  {why}: {CAUSES[why]}", markup=False, highlight=False)
    screen.print(f"pages: {out}", markup=False, highlight=False)


if __name__ == "__main__":
    main()
