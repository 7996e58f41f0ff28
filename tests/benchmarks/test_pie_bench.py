"""The data set's reader on a small one of its layout; figures through small models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.pie_bench import FIGURES, Item, decode, plain, read, run, show, summary
from benchmarks.pie_metrics import Picture, mse
from benchmarks.quality import ROWS
from tests.magedit.conftest import load_pipeline


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two edits: the left half of a picture, and nothing marked."""
    entries: dict[str, dict[str, Any]] = {
        "000": {
            "image_path": "1_change/000.png",
            "original_prompt": "a room with a [red] sofa",
            "editing_prompt": "a room with a [green] sofa",
            "editing_type_id": "6",
            "mask": _runs(),
        },
        "001": {
            "image_path": "9_style/001.png",
            "original_prompt": "a room",
            "editing_prompt": "[a drawing of] a room",
            "editing_type_id": "9",
            "mask": [],
        },
    }
    for entry in entries.values():
        path = tmp_path / "annotation_images" / str(entry["image_path"])
        path.parent.mkdir(parents=True)
        Image.effect_noise((512, 512), 40).convert("RGB").save(path)
    (tmp_path / "mapping_file.json").write_text(json.dumps(entries))
    return tmp_path


def _runs() -> list[int]:
    return [number for row in range(512) for number in (row * 512, 256)]


def test_masks_are_runs_and_the_border_counts_as_edited() -> None:
    raw = decode([1, 2, 5, 100], side=4, border=False)
    assert raw.tolist() == [[0, 1, 1, 0], [0, 1, 1, 1], [1] * 4, [1] * 4]
    assert decode([], side=4).tolist() == [[1] * 4, [1, 0, 0, 1], [1, 0, 0, 1], [1] * 4]


def test_brackets_mark_the_words(folder: Path) -> None:
    first, second = read(folder)
    assert (first.kind, first.source_prompt, first.words) == ("change colour", "a room with a red sofa", ("green",))
    assert (second.target_prompt, second.words) == ("a drawing of a room", ("a drawing of",))
    assert first.image().size == (512, 512)
    assert decode(first.runs, border=False).mean() == 0.5
    assert [item.name for item in read(folder, ["change style"])] == ["001"]
    assert plain("[a] b") == "a b"


class Judged:
    """Figures that need no weights."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def figures(self, item: Item, result: Picture) -> dict[str, float | None]:
        self.asked.append(item.name)
        source, kept = np.asarray(item.image()), 1 - decode(item.runs)
        return {**dict.fromkeys(FIGURES, 1.0), "psnr": None, "mse": mse(source, result, kept)}


def test_a_run_goes_on_where_it_was_and_means_leave_out_what_is_empty(folder: Path, tmp_path: Path) -> None:
    pipe, judge = load_pipeline(), Judged()
    items = list(read(folder))
    rows = {"p2p": replace(ROWS["p2p"], steps=2)}
    journal = tmp_path / "journal.jsonl"
    first = run(pipe, judge, items[:1], rows, journal)  # type: ignore[arg-type]
    with journal.open("a") as file:
        file.write('{"row": "p2p", "it')
    both = run(pipe, judge, items, rows, journal)  # type: ignore[arg-type]
    assert judge.asked == ["000", "001"]
    assert both[:1] == first
    # Outside the mask an edit changes nothing but the edge of a pixel or so.
    assert first[0]["mse"] < 1e-2
    table = summary(both)
    assert set(table) == {"all", "change colour", "change style"}
    assert table["all"]["p2p"]["edits"] == 2
    assert "psnr" not in table["all"]["p2p"]
    assert show(table).row_count == 3
