"""The data set's reader on a small one of its layout; figures through small models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.pie_bench.metrics import Picture, mse
from benchmarks.pie_bench.run import FIGURES, Item, decode, plain, read, resolved, run, show, summary
from benchmarks.quality.rows import BY_KIND, ROWS
from magedit.prompts.kinds import KINDS, EditKind
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


@pytest.mark.parametrize(
    ("target", "words", "kind", "guided"),
    [
        ("a wall and a green sofa", ("green",), "attribute", ("green",)),
        ("a wall and a red chair", ("chair",), "replacement", ("chair",)),
        ("a wall", (), "removal", ("wall",)),
    ],
)
def test_a_row_by_kind_takes_the_defaults_of_the_edits_own(
    target: str, words: tuple[str, ...], kind: EditKind, guided: tuple[str, ...]
) -> None:
    item = Item("0", "random", Path("0.png"), "a wall and a red sofa", target, words, ())
    same, config = resolved("kind", item, replace(ROWS["kind"], steps=7))
    assert (config.steps, same.words) == (7, guided)
    assert {name: getattr(config, name) for name in KINDS[kind]} == dict(KINDS[kind])
    assert resolved("token", item, ROWS["token"]) == (item, ROWS["token"])
    assert not any(resolved(name, item, ROWS[name])[1].is_guided for name in BY_KIND if "no guidance" in name)


class Judged:
    """Figures that need no weights."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def figures(self, item: Item, result: Picture) -> dict[str, float | None]:
        self.asked.append(item.name)
        source, kept = np.asarray(item.image()), 1 - decode(item.runs)
        return {**dict.fromkeys(FIGURES, 1.0), "psnr": None, "mse": mse(source, result, kept)}


def test_a_run_resumes_and_means_skip_missing_figures(folder: Path, tmp_path: Path) -> None:
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
