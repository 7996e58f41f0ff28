"""Masks found in rooms with known masks: overlap, seconds of clicks, success of edits by instruction.

The rooms' seeds were not used for tuning. A click is the most interior pixel of a thing, as in the evaluation of SAM; a
box is exact; words are the thing's class, with `left` or `right` where it has a twin; phrases are its name in full, as
instructions say it: `plaid red sofa`.
"""

from __future__ import annotations

import json
import random
import statistics
import tempfile
import time
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from PIL import Image

from benchmarks.masks.instructions import success
from cli.errors import read_settings
from cli.processes.stack import Stack, free_port
from magedit.client import Client
from magedit.demo import checkpoint_path
from magedit.demo.draw import draw_mask, draw_scene
from magedit.demo.edits import named_in_full
from magedit.demo.scene import PILLOW_SLOTS, SIDE_SLOTS, WALL_SLOTS, Scene, Thing, sample_scene
from magedit.errors import MAGEditError
from magedit.masks.polygons import box_of, interior, outline
from magedit.masks.shapes import MaskPrompt
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.segmenters.finder import Finders
from magedit.segmenters.sam import SamSegmenter

SMALLEST = 40
"""Pixels of the smallest requested thing."""
Click = tuple[Image.Image, list[list[int]]]
"""A picture, and the points that are clicked in it."""
TWINS = {"picture": WALL_SLOTS, "clock": WALL_SLOTS, "pillow": PILLOW_SLOTS, "plant": SIDE_SLOTS, "lamp": SIDE_SLOTS}


def inside(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """The pixel (x, y) that is farthest from the edge of a mask's largest part."""
    return interior(outline(mask)[0])


def seen(scene: Scene, thing: Thing) -> NDArray[np.bool_]:
    """The visible mask of a thing."""
    selected: NDArray[np.bool_] = np.asarray(draw_mask(scene, thing)) > 0
    return selected


def twins(rng: random.Random) -> tuple[Scene, list[Thing]]:
    """A room with two identical things, one on the left and one on the right, and nothing else of their class."""
    while True:
        scene = sample_scene(rng)
        things = [each for each in scene.things if each.kind in TWINS and each.side in ("left", "right")]
        if not things:
            continue
        one = rng.choice(things)
        slots = TWINS[one.kind]
        other = "right" if one.side == "left" else "left"
        twin = replace(one, x=one.x + slots[other] - slots[one.side], side=other)
        others = [each for each in scene.things if each.kind != one.kind]
        crowded = scene.with_things(
            [*(each for each in others if each.side != other or each.kind == "sofa"), one, twin]
        )
        pair = sorted((one, twin), key=lambda each: each.x)
        if all(seen(crowded, each).sum() >= SMALLEST for each in pair):
            return crowded, pair


def overlap(finders: Finders, image: Image.Image, true: NDArray[np.bool_], **prompt: Any) -> float:
    """Intersection over union of the best candidate and the true mask; 0 where nothing is found."""
    try:
        found = finders.find(image, MaskPrompt.model_validate(prompt))
    except MAGEditError:
        return 0.0
    selected = np.asarray(found.masks[0].picture) > 0
    return float((selected & true).sum() / (selected | true).sum())


def click_by_http(clicks: list[Click], segmenter: str | None) -> dict[str, list[float]]:
    """Seconds of a first and a second click in each picture, from the request to the masks' description, with front
    end, Redis and worker as processes of this machine."""
    seconds: dict[str, list[float]] = {name: [] for name in ("first_click_by_http_s", "second_click_by_http_s")}
    with tempfile.TemporaryDirectory(prefix="bench-masks-") as folder:
        own = {"api_host": "127.0.0.1", "api_port": free_port(), "state_dir": Path(folder), "storage_url": None}
        settings = read_settings(**own, auth="off", segmenter=segmenter)
        with Stack(settings, workers=1, embedded=True) as stack:
            stack.wait_ready()
            with Client(stack.url) as client:
                for image, points in clicks:
                    picture = BytesIO()
                    image.save(picture, "png")
                    for times in seconds.values():
                        began = time.perf_counter()
                        client.find_mask(picture.getvalue(), points=points)
                        times.append(time.perf_counter() - began)
    return seconds


def main(
    rooms: Annotated[int, typer.Option(min=1, help="Rooms, one thing of each.")] = 40,
    seed: Annotated[int, typer.Option(help="Which rooms.")] = 1000,
    segmenter: Annotated[
        str | None, typer.Option(help="Folder of a segmenter, or none for attention alone; default: the shipped one.")
    ] = None,
    edits: Annotated[int, typer.Option(min=0, help="Edits by instruction, a quarter of each kind; 0: none.")] = 12,
    out: Annotated[Path, typer.Option(help="Folder of the table and a sheet of masks.")] = Path("bench-masks"),
) -> None:
    """Measure; writes `masks.json` and `masks.png`."""
    torch.set_num_threads(1)
    pipe = MAGEditPipeline.from_pretrained(checkpoint_path())
    finders = Finders.of(pipe.backbone, SamSegmenter.beside(checkpoint_path(), segmenter))
    rng = random.Random(f"{seed}/masks")
    overlaps: dict[str, list[float]] = {name: [] for name in ("click", "box", "words", "phrases", "left", "right")}
    seconds: dict[str, list[float]] = {name: [] for name in ("first_click_s", "second_click_s")}
    clicks: list[Click] = []
    sheet: list[Image.Image] = []
    for number in range(rooms):
        scene = sample_scene(rng)
        kinds = [each.kind for each in scene.things]
        single = [each for each in scene.things if kinds.count(each.kind) == 1]
        single = [each for each in single if seen(scene, each).sum() >= SMALLEST]
        if single:
            thing = rng.choice(single)
            image, true = draw_scene(scene), seen(scene, thing)
            click = [[*inside(true), 1]]
            clicks.append((image, click))
            for times in seconds.values():
                began = time.perf_counter()
                found = overlap(finders, image, true, points=click)
                times.append(time.perf_counter() - began)
            overlaps["click"].append(found)
            overlaps["box"].append(overlap(finders, image, true, box=box_of(true)))
            overlaps["words"].append(overlap(finders, image, true, words=thing.kind))
            overlaps["phrases"].append(overlap(finders, image, true, words=named_in_full(thing)[0]))
            if number < 12:
                sheet.append(_shown(finders, image, true, points=click))
                sheet.append(_shown(finders, image, true, words=named_in_full(thing)[0]))
        crowded, pair = twins(rng)
        for side, thing in zip(("left", "right"), pair, strict=True):
            words = f"{side} {thing.kind}"
            overlaps[side].append(overlap(finders, draw_scene(crowded), seen(crowded, thing), words=words))
    table = {
        name: {"mean_iou": round(statistics.mean(each), 3), "median_iou": round(statistics.median(each), 3)}
        for name, each in overlaps.items()
    }
    seconds |= click_by_http(clicks, segmenter)
    medians = {name: round(statistics.median(each), 4) for name, each in seconds.items()}
    out.mkdir(parents=True, exist_ok=True)
    told: dict[str, Any] = {"rooms": rooms, "seed": seed, **table, **medians}
    if edits:
        told["instructions"] = success(pipe, edits, seed)
    (out / "masks.json").write_text(json.dumps(told, indent=2) + "\n")
    width = 6 * 128
    page = Image.new("RGB", (width, 128 * ((len(sheet) + 5) // 6)), "white")
    for at, each in enumerate(sheet):
        page.paste(each, (at % 6 * 128, at // 6 * 128))
    page.save(out / "masks.png")
    typer.echo(json.dumps(told, indent=2))


def _shown(finders: Finders, image: Image.Image, true: NDArray[np.bool_], **prompt: Any) -> Image.Image:
    """The picture with true positives in green, false positives in red, false negatives in blue."""
    pixels = np.asarray(image).copy()
    try:
        found = finders.find(image, MaskPrompt.model_validate(prompt)).masks[0].picture
        selected = np.asarray(found) > 0
    except MAGEditError:
        selected = np.zeros_like(true)
    for where, colour in (
        (selected & true, (0, 200, 0)),
        (selected & ~true, (220, 0, 0)),
        (~selected & true, (0, 0, 220)),
    ):
        pixels[where] = (pixels[where] * 0.4 + np.array(colour) * 0.6).astype(np.uint8)
    return Image.fromarray(pixels)
