import json
import typing
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.quality import COSTS, FIGURES, KIND_OF, ROWS, resolved, run, show, summary
from magedit.config import EditConfig
from magedit.demo import checkpoint_path, demo_edit, sample_edits
from magedit.demo.edits import EditKind
from magedit.kinds import KINDS

SHORT = {"p2p": replace(ROWS["p2p"], steps=2), "token": replace(ROWS["token"], steps=2, max_iterations=1)}


def test_a_cut_run_goes_on_where_it_was(tmp_path: Path) -> None:
    edits = (demo_edit("carpet"), *sample_edits("removal", 1, complexity="complex"))
    edits = (replace(edits[0], name="plain-colour-0"), edits[1])

    def again() -> list[dict[str, object]]:
        return run(checkpoint_path(), SHORT, edits, 0, state=tmp_path)

    first = again()
    assert [(each["row"], each["edit"]) for each in first] == [(row, edit.name) for edit in edits for row in SHORT]
    (journal,) = tmp_path.iterdir()
    lines = journal.read_text().splitlines(keepends=True)
    assert [json.loads(line) for line in lines] == first
    journal.write_text("".join(lines[:-1]) + lines[-1][:20])
    second = again()
    timeless = [{name: value for name, value in each.items() if name != "seconds"} for each in (first[-1], second[-1])]
    assert timeless[0] == timeless[1]
    assert second[:-1] == first[:-1]
    assert again() == second

    table = summary(first)
    assert {complexity: set(kinds) for complexity, kinds in table.items()} == {
        "plain": {"colour", "all"},
        "complex": {"removal", "all"},
    }
    assert table["plain"]["colour"]["token"]["backward"] > 0
    # A removal is guided by what fills the place.
    assert table["complex"]["removal"]["token"]["backward"] > 0
    assert show(table).row_count == 2 * 2 * 2


def test_the_row_of_kinds_takes_each_edits_own_defaults() -> None:
    for kind in typing.get_args(EditKind):
        (edit,) = sample_edits(kind, 1)
        same, config = resolved("kind", edit, ROWS["kind"])
        expected = KINDS[KIND_OF.get(kind, "attribute")]
        assert {name: getattr(config, name) for name in expected} == dict(expected)
        assert bool(config.negative_prompt) == (kind == "removal")
        assert same.words
        assert resolved("token", edit, ROWS["token"])[1] == EditConfig()


def test_means_are_over_the_edits_of_a_kind() -> None:
    rest = dict.fromkeys((*FIGURES, *COSTS), 0.0)
    figures = [
        {"row": "p2p", "edit": f"plain-colour-{index}", **rest, "success": success}
        for index, success in enumerate((1.0, 0.0, 0.0, 1.0))
    ]
    colour = summary(figures)["plain"]["colour"]["p2p"]
    assert colour["edits"] == 4
    assert colour["success"] == pytest.approx(0.5)
