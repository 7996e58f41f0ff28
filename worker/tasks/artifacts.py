"""Artifacts of an edit: attention maps, traces, difference picture and crop."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from typing import Any

from PIL import Image, ImageChops, ImageStat

from jobs.schema import ArtifactName
from magedit.config import MethodName
from magedit.images.charts import COLOURS, Series, chart, stack
from magedit.images.heatmap import difference, grid, heat_map, panels, reduced
from magedit.images.masks import Box, crop_to, outline, union
from magedit.images.transparency import flatten
from magedit.measures.report import Ratios, Stage, StepTrace
from magedit.methods.registry import METHODS
from worker.models.served_model import Edited

LONGEST_SIDE = 1024
"""Longer side of heat maps and of the working crop, in pixels; larger ones would show no more detail."""

STRIP_STEPS = 6
"""Most steps in a strip of attention maps: the first, the last and steps evenly between."""

STRIP_SIDE = 384
"""Side of one map of a strip, in pixels."""

SHARED = frozenset({"crop.png"})
"""Artifacts that are the same for every result of an edit."""

SHEET_SIDE = 512
"""Longer side of one picture of a contact sheet, in pixels."""

Artifact = tuple[str, Image.Image | bytes]


def all_artifacts(
    asked: Collection[ArtifactName],
    image: Image.Image,
    masks: Sequence[Image.Image],
    edited: Edited,
    unguided: Edited | None,
) -> Iterator[Artifact]:
    """Artifacts of all results; arguments as `artifacts`. First the first result's, then those of each further result
    that differ; a contact sheet for several results, a table for several methods. A result of another seed than
    ``unguided`` is shown alone.
    """

    def of(number: int) -> Iterator[Artifact]:
        one = edited.only(number)
        is_same = unguided is not None and unguided.measures.results[0].seed == one.measures.results[0].seed
        return artifacts(asked, image, masks, one, unguided if is_same else None)

    yield from of(0)
    if len(edited.images) == 1:
        return
    for number in range(1, len(edited.images)):
        for name, content in of(number):
            if name not in SHARED:
                yield f"result-{number}-{name}", content
    yield "contact-sheet.png", _contact_sheet(image, masks, edited)
    if len({each.method for each in edited.measures.results}) > 1:
        yield "comparison.json", json.dumps(_comparison(image, masks, edited)).encode()


def _comparison(image: Image.Image, masks: Sequence[Image.Image], edited: Edited) -> list[dict[str, Any]]:
    """A row per result: its parameters, its method's cost (all results of the method together), the words' ratios, and
    the mean absolute difference (0..255) to the picture inside the masks.

    A shared inversion's cost is in the rows of the method that ran it, where ``inversion_reused`` is false; for the
    others it is true (None: the method does not invert). ``inversion_seconds`` is its part of ``seconds``.
    """
    before, inside, rows = flatten(image), union(masks), []
    for number, (own, picture) in enumerate(zip(edited.measures.results, edited.images, strict=True)):
        cost = edited.only(number).measures
        changed = ImageStat.Stat(ImageChops.difference(before, flatten(picture)), inside).mean
        rows.append(
            {
                "result": number,
                **{
                    name: getattr(own, name) for name in ("method", "seed", "strength", "updates", "outside_difference")
                },
                "before": [asdict(ratios) for ratios in own.before],
                "after": [asdict(ratios) for ratios in own.after],
                "changed": round(sum(changed) / len(changed), 3),
                **{name: getattr(cost, name) for name in ("unet_forward", "unet_truncated_forward", "unet_backward")},
                "seconds": round(sum(cost.stage_seconds.values()), 3),
                "inversion_reused": cost.inversion_reused if METHODS[own.method].inversions else None,
                "inversion_seconds": _inversion_seconds(own.method, cost.stage_seconds),
            }
        )
    return rows


def _inversion_seconds(method: MethodName, stages: Mapping[str, float]) -> float:
    """Seconds of the inversion stages; 0 for a method without inversion, which may optimise something else."""
    inverting = (Stage.INVERT, Stage.OPTIMIZE) if METHODS[method].inversions else ()
    return round(sum(stages.get(stage, 0.0) for stage in inverting), 3)


def artifacts(
    asked: Collection[ArtifactName],
    image: Image.Image,
    masks: Sequence[Image.Image],
    edited: Edited,
    unguided: Edited | None,
) -> Iterator[Artifact]:
    """Names and contents (pictures, or JSON as bytes) of the requested artifacts.

    Args:
        asked: kinds of artifacts.
        image: the input.
        masks: one per region.
        edited: the edit.
        unguided: the same edit without guidance, if it was run for comparison of ``attention``.
    """
    image = flatten(image)
    box = edited.measures.crop
    if "attention" in asked:
        yield from _attention(image, masks, edited, unguided)
    if "attention" in asked or "trace" in asked:
        yield "trace.json", json.dumps([asdict(step) for step in edited.measures.trace]).encode()
    if "trace" in asked:
        yield "trace.png", _trace(edited)
    if "difference" in asked:
        yield "difference.png", difference(image, flatten(edited.images[0]))
    if "crop" in asked:
        side = min(LONGEST_SIDE, box[2] - box[0])
        yield "crop.png", outline(crop_to(image, box, side), crop_to(union(masks), box, side))


def _contact_sheet(image: Image.Image, masks: Sequence[Image.Image], edited: Edited) -> Image.Image:
    """The source with the masks' outline, and every result: a row per method and seed, a column per strength."""
    source = ("source and mask", outline(reduced(flatten(image), SHEET_SIDE), reduced(union(masks), SHEET_SIDE)))
    rows: dict[str, list[tuple[str, Image.Image]]] = {}
    several = len({each.method for each in edited.measures.results}) > 1
    for number, (each, picture) in enumerate(zip(edited.measures.results, edited.images, strict=True)):
        row = f"{each.method}, seed {each.seed}" if several else f"seed {each.seed}"
        shown = reduced(flatten(picture), SHEET_SIDE)
        rows.setdefault(row, [source]).append((f"{number}: strength {each.strength:g}", shown))
    return grid(list(rows.items()))


def _attention(
    image: Image.Image, masks: Sequence[Image.Image], edited: Edited, unguided: Edited | None
) -> Iterator[tuple[str, Image.Image]]:
    """Per region the mean maps on one colour scale, the strip, and an overview; ``before``: without guidance,
    ``after``: with it, each if there is such an edit."""
    picture = reduced(image, LONGEST_SIDE)
    box = _scaled(edited.measures.crop, picture.width / image.width)
    mask = reduced(union(masks), LONGEST_SIDE)
    columns = [("source and mask", outline(picture, mask)), ("result", reduced(edited.images[0], LONGEST_SIDE))]
    is_guided = any(step.losses for step in edited.measures.trace)
    edits = {"before": unguided if is_guided else edited, "after": edited if is_guided else None}
    shown = {name: each for name, each in edits.items() if each is not None}
    for region, words in enumerate(map(", ".join, edited.measures.words[: len(edited.attention)])):
        if not words:
            continue
        maps: dict[str, list[list[float]]] = {name: each.attention[region].tolist() for name, each in shown.items()}
        high = _highest(list(maps.values()))
        for name, share in maps.items():
            heat = heat_map(share, picture, box, high=high)
            columns.append((f"{words}: {name} guidance", heat))
            yield f"attention-{name}-{region}.png", heat
        yield f"attention-steps-{region}.png", _strip(image, region, words, shown)
    yield "overview.png", panels(columns)


def _strip(image: Image.Image, region: int, words: str, shown: Mapping[str, Edited]) -> Image.Image:
    """The region's maps at several steps on one colour scale, a row without and a row with guidance."""
    first = next(iter(shown.values())).measures
    crop = crop_to(image, first.crop, STRIP_SIDE)
    trace = first.trace
    last = len(trace) - 1
    count = min(STRIP_STEPS, len(trace))
    chosen = [round(number * last / max(1, count - 1)) for number in range(count)]
    rows = {"before": "without guidance", "after": "with guidance"}
    maps = {
        rows[name]: [each.attention_steps[index][region].tolist() for index in chosen] for name, each in shown.items()
    }
    high = _highest(list(chain.from_iterable(maps.values())))
    whole = (0, 0, STRIP_SIDE, STRIP_SIDE)
    return grid(
        [
            (
                f"{words}: {name}",
                [
                    (f"step {trace[index].step + 1}", heat_map(share, crop, whole, high=high))
                    for index, share in zip(chosen, shares, strict=True)
                ],
            )
            for name, shares in maps.items()
        ]
    )


def _trace(edited: Edited) -> Image.Image:
    """Both ratios of each region over the steps, and the losses."""
    trace, words = edited.measures.trace, edited.measures.words
    names = [", ".join(each) for each in words]

    def lines(which: str) -> list[Series]:
        found = []
        for region, name in enumerate(names):
            colour = COLOURS[region % len(COLOURS)]
            for label, dashed in (("before", True), ("after", False)):
                points = [(step.step + 1.0, getattr(_ratios(step, label)[region], which)) for step in trace]
                found.append(Series(label=f"{name}, {label}", points=points, colour=colour, dashed=dashed))
        return found

    losses = [
        (step.step + 1 + number / len(step.losses), loss) for step in trace for number, loss in enumerate(step.losses)
    ]
    return stack(
        [
            chart("Token ratio inside the mask", lines("token"), x_label="step"),
            chart("Spatial ratio: attention inside the mask", lines("spatial"), x_label="step"),
            chart("Loss at each guidance update", [Series(label="loss", points=losses)], x_label="step"),
        ]
    )


def _ratios(step: StepTrace, when: str) -> tuple[Ratios, ...]:
    return step.before if when == "before" else step.after


def _highest(maps: Sequence[Sequence[Sequence[float]]]) -> float:
    return max(value for share in maps for row in share for value in row)


def _scaled(box: Box, factor: float) -> Box:
    left, top = round(box[0] * factor), round(box[1] * factor)
    side = max(1, round((box[2] - box[0]) * factor))
    return left, top, left + side, top + side
