"""What an edit can leave besides its result, on the tiny real checkpoint."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image, ImageChops

from jobs.schema import ArtifactName
from magedit.config import EditConfig, MethodName, Region
from magedit.images.heatmap import AMPLIFICATION
from magedit.images.masks import OUTLINE_COLOUR
from worker.models.served_model import ServedModel
from worker.tasks.artifacts import LONGEST_SIDE, STRIP_SIDE, all_artifacts, artifacts

SIZE = (300, 256)
CONFIG = EditConfig(steps=4, max_iterations=1)


def edit(
    model: ServedModel,
    config: EditConfig,
    size: tuple[int, int] = SIZE,
    words: tuple[str, str] = ("green", "sofa"),
    **options: Any,
) -> Any:
    image = Image.new("RGB", size, "tan")
    masks = [Image.new("L", size), Image.new("L", size)]
    masks[0].paste(255, (20, 20, 120, 120))
    masks[1].paste(255, (160, 60, 240, 200))
    regions = [Region(words=(word,) if word else ()) for word in words]
    # Nothing is added for a region without words.
    source = "a room" if all(words) else "a green sofa"
    pipe: Any = model.editor
    return pipe(image, masks, source, "a green sofa", regions, config, **options), image, masks


def made(model: ServedModel, asked: Collection[ArtifactName], size: tuple[int, int] = SIZE) -> dict[str, Any]:
    edited, image, masks = edit(model, CONFIG, size)
    unguided = None
    if "attention" in asked:
        unguided, *_ = edit(model, EditConfig(steps=4, method="p2p"), size, inversion=edited.inversion)
    return {"edited": edited, "image": image, **dict(artifacts(asked, image, masks, edited, unguided))}


def test_attention_per_region_over_the_steps_and_as_an_overview(real_model: ServedModel) -> None:
    found = made(real_model, {"attention"})
    assert list(found)[2:] == [
        "attention-before-0.png",
        "attention-after-0.png",
        "attention-steps-0.png",
        "attention-before-1.png",
        "attention-after-1.png",
        "attention-steps-1.png",
        "overview.png",
        "trace.json",
    ]
    for region in range(2):
        before, after = (found[f"attention-{name}-{region}.png"] for name in ("before", "after"))
        assert before.size == after.size == SIZE
        strip = found[f"attention-steps-{region}.png"]
        # Two rows of two guided steps, and guidance shows in the second row.
        assert strip.width > 2 * 384 > strip.width - 100
        half = strip.height // 2
        rows = [strip.crop((0, y + 80, strip.width, y + half)) for y in (0, half)]
        assert ImageChops.difference(*rows).getbbox() is not None
    assert found["overview.png"].width > 6 * SIZE[0]


@pytest.mark.parametrize(("method", "shown"), [("mag-edit", "after"), ("p2p", "before")])
def test_without_an_unguided_edit_only_the_edits_own_maps_are_shown(
    real_model: ServedModel, method: MethodName, shown: str
) -> None:
    edited, image, masks = edit(real_model, replace(CONFIG, method=method))
    found = dict(artifacts({"attention"}, image, masks, edited, None))
    files = [f"attention-{name}-{region}.png" for region in range(2) for name in (shown, "steps")]
    assert list(found) == [*files, "overview.png", "trace.json"]
    strip = found["attention-steps-0.png"]
    assert isinstance(strip, Image.Image)
    # One row.
    assert strip.height < 1.5 * STRIP_SIDE


def test_a_result_is_compared_with_the_unguided_edit_of_its_seed(real_model: ServedModel) -> None:
    edited, image, masks = edit(real_model, replace(CONFIG, n=2, sweep=(0.5, 1.0)))
    unguided, *_ = edit(real_model, replace(CONFIG, strength=0.0), inversion=edited.inversion)
    names = [name for name, _ in all_artifacts({"attention"}, image, masks, edited, unguided)]
    for prefix, compared in (("", True), ("result-1-", True), ("result-2-", False), ("result-3-", False)):
        assert (f"{prefix}attention-before-0.png" in names) is compared
        assert f"{prefix}attention-after-0.png" in names


def test_a_region_without_words_has_no_map(real_model: ServedModel) -> None:
    edited, image, masks = edit(real_model, replace(CONFIG, method="p2p"), words=("green", ""))
    found = dict(artifacts({"attention"}, image, masks, edited, None))
    assert list(found) == ["attention-before-0.png", "attention-steps-0.png", "overview.png", "trace.json"]


def test_the_trace_as_json_and_as_a_plot(real_model: ServedModel) -> None:
    found = made(real_model, {"trace"})
    assert list(found)[2:] == ["trace.json", "trace.png"]
    trace = json.loads(found["trace.json"])
    assert [step["step"] for step in trace] == [0, 1]
    assert all(len(step["before"]) == len(step["after"]) == 2 and step["losses"] for step in trace)
    assert found["trace.png"].width == 760
    assert found["trace.png"].height > 3 * 320


def test_the_difference_is_amplified_where_something_changed(real_model: ServedModel) -> None:
    found = made(real_model, {"difference"})
    plain = ImageChops.difference(found["image"], found["edited"].images[0])
    shown = found["difference.png"]
    box = plain.getbbox()
    assert box is not None
    assert shown.getbbox() == box
    at = box[0] + 5, box[1] + 5
    assert shown.getpixel(at) == plain.point(lambda value: min(255, AMPLIFICATION * value)).getpixel(at)


def test_the_crop_artifact_shows_the_working_crop_with_the_masks_outline(real_model: ServedModel) -> None:
    found = made(real_model, {"crop"}, (1600, 900))
    left, top, right, bottom = found["edited"].measures.crop
    crop = found["crop.png"]
    assert crop.size == (right - left, bottom - top) == (256 + 184, 256 + 184)
    colours = {colour for _, colour in crop.getcolors()}
    assert colours == {OUTLINE_COLOUR, (210, 180, 140)}
    assert crop.getpixel((160 - left + 10, 60 - top + 10)) == (210, 180, 140)
    assert crop.getpixel((160 - left - 1, 100 - top)) == OUTLINE_COLOUR


@pytest.mark.parametrize("asked", [(), ("crop", "trace")])
def test_only_requested_artifacts_are_made(real_model: ServedModel, asked: tuple[ArtifactName, ...]) -> None:
    assert list(made(real_model, asked))[2:] == (["trace.json", "trace.png", "crop.png"] if asked else [])


def test_pictures_of_large_photographs_are_reduced(real_model: ServedModel) -> None:
    found = made(real_model, {"attention"}, (3000, 1500))
    assert found["attention-after-0.png"].size == (LONGEST_SIDE, LONGEST_SIDE // 2)
    assert found["overview.png"].width < 8 * LONGEST_SIDE
