import json
import typing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks.quality.rows import BY_KIND, CEILING, ROWS, TABLES, UNGUIDED
from benchmarks.quality.run import KIND_OF, SEEDS, edits_of, picture, resolved, run
from benchmarks.quality.sheet import sheet
from benchmarks.quality.tables import markdown, summary
from magedit.config import EditConfig
from magedit.demo import checkpoint_path, demo_edit, sample_edits
from magedit.demo.edits import EditKind
from magedit.prompts.kinds import KINDS

SHORT = {
    CEILING: EditConfig(),
    "p2p + blend": replace(ROWS["p2p + blend"], steps=2),
    "token": replace(ROWS["token"], steps=2, max_iterations=1),
}


def test_an_interrupted_run_resumes_and_tables_share_the_journal(tmp_path: Path) -> None:
    edits = (demo_edit("carpet"), *sample_edits("removal", 1, complexity="complex"))
    edits = (replace(edits[0], name="plain-colour-0"), edits[1])

    def again(rows: dict[str, EditConfig] = SHORT) -> list[dict[str, Any]]:
        return run(checkpoint_path(), rows, edits, state=tmp_path)

    first = again()
    assert [(each["row"], each["edit"]) for each in first] == [(row, edit.name) for edit in edits for row in SHORT]
    journal = tmp_path / "journal.jsonl"
    heights = [sheet(edits, first, partial(picture, tmp_path), number).height for number in (1, 60)]
    # A perfect edit is only computed; of the others each has its tile.
    assert len(list((tmp_path / "pictures").iterdir())) == 4
    assert heights[1] == 2 * heights[0]
    lines = journal.read_text().splitlines(keepends=True)
    assert [json.loads(line)["figures"] | {"key": json.loads(line)["key"]} for line in lines] == first
    journal.write_text("".join(lines[:-1]) + lines[-1][:20])
    second = again()
    timeless = [{name: value for name, value in each.items() if name != "seconds"} for each in (first[-1], second[-1])]
    assert timeless[0] == timeless[1]
    assert second[:-1] == first[:-1]
    more = again({"token": SHORT["token"], "spatial": replace(SHORT["token"], constraint="spatial")})
    assert more[0] == second[2]
    assert len(journal.read_text().splitlines()) == len(lines) + len(edits)

    # The inversion that rows share counts for each of them: 2 passes, then 2 steps of the source and 2 of both halves.
    plain = {each["row"]: each for each in first[:3]}
    assert plain["token"]["passes"] > plain["p2p + blend"]["passes"] > 4
    assert 0 < plain["p2p + blend"]["token"] != plain["token"]["token"] > 0
    assert plain[CEILING]["success"] == 1.0

    table = summary(first)
    assert {complexity: set(groups) for complexity, groups in table.items()} == {
        "plain": {"colour", "attribute", "all"},
        "complex": {"removal", "all"},
    }
    gain = plain["token"]["token"] - plain["p2p + blend"]["token"]
    assert table["plain"]["colour"]["token"]["token_gain"] == pytest.approx(gain, abs=1e-4)
    # A removal is guided by what fills the place.
    assert (table["complex"]["removal"]["token"]["passes"] or 0) > (
        table["complex"]["removal"]["p2p + blend"]["passes"] or 0
    )
    assert [line.split(" | ")[0] for line in markdown(table) if line] == [
        *("| plain", "|---|---|---|---|---|---|---|---|---|---|---|", *(f"| {row}" for row in SHORT)),
        *("| complex", "|---|---|---|---|---|---|---|---|---|---|", *(f"| {row}" for row in SHORT)),
    ]


def test_edits_of_several_seeds_have_distinct_names() -> None:
    edits = edits_of(2, (5, 6), ["colour"])
    assert [edit.name for edit in edits][:3] == ["plain-colour-0.5", "plain-colour-1.5", "complex-colour-0.5"]
    assert len({edit.name for edit in edits}) == len({edit.source_prompt for edit in edits}) == 8
    assert not set(SEEDS["tuning"]) & set(SEEDS["test"])


def test_an_edit_that_is_refused_has_failed(tmp_path: Path) -> None:
    edit = replace(demo_edit("carpet"), name="plain-colour-0", target_prompt="a room with a crimson carpet")
    (figures,) = run(checkpoint_path(), {"token": SHORT["token"]}, [edit], state=tmp_path)
    assert (figures["success"], figures["error"]) == (0.0, "prompt_not_supported")
    row = summary([figures])["plain"]["colour"]["token"]
    assert (row["edits"], row["success"], row["inside_db"]) == (1, 0.0, None)


def test_the_rows_of_kinds_take_each_edits_own_defaults() -> None:
    for kind in typing.get_args(EditKind):
        (edit,) = sample_edits(kind, 1)
        for name in BY_KIND:
            same, config = resolved(name, edit, ROWS[name])
            expected = dict(KINDS[KIND_OF.get(kind, "attribute")])
            if name == UNGUIDED["kind"]:
                expected["strength"] = 0.0
            if name == "kind, never stopped":
                expected["stop_contrast"] = ROWS[name].stop_contrast
            assert {name: getattr(config, name) for name in expected} == expected
            assert config.steps == ROWS[name].steps
            assert bool(config.negative_prompt) == (kind == "removal")
            assert same.words
        assert resolved("token", edit, ROWS["token"])[1] == EditConfig()
        # Of a configuration that is left open the pipeline would decide: every row would be one by kind.
        for name, row in ROWS.items():
            assert resolved(name, edit, row)[1].given == set(EditConfig.__dataclass_fields__)


def test_the_tables_hold_every_row() -> None:
    assert {row for table in TABLES.values() for row in table} == {CEILING, *ROWS}
    assert all(not ROWS[base].is_guided and ROWS[row].is_guided for row, base in UNGUIDED.items())
    assert all(row in ROWS for row in BY_KIND)


def test_half_precision_has_a_separate_edit_and_inversion(tmp_path: Path) -> None:
    edit = replace(demo_edit("carpet"), name="plain-colour-0")
    row = replace(ROWS["kind, fast"], steps=2, max_iterations=1)
    rows = {"kind, fast": row, "kind, bfloat16": row}
    whole, half = run(checkpoint_path(), rows, [edit], state=tmp_path)
    assert whole["inside_db"] != half["inside_db"] == pytest.approx(whole["inside_db"], abs=1.0)
    assert whole["passes"] == pytest.approx(half["passes"], abs=1.0)
    assert len((tmp_path / "journal.jsonl").read_text().splitlines()) == 2
