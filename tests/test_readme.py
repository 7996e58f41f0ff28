"""README and CHANGELOG say what is so."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

from magedit.config import EditConfig
from magedit.meter import planned
from magedit.methods.catalog import INVERSION_CARDS, METHOD_CARDS
from magedit.passes import Passes

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_it_begins_with_a_sentence_a_picture_and_the_two_commands() -> None:
    blocks = [block for block in README.split("\n\n") if block.strip()]
    assert blocks[0].startswith("# ")
    assert blocks[1].endswith(".")
    assert blocks[1].count(".") == 1
    picture = re.fullmatch(r"!\[.+\]\((.+)\)", blocks[2], re.DOTALL)
    assert picture is not None
    assert (ROOT / picture[1]).read_bytes().startswith(b"\x89PNG")
    assert re.findall(r"^make \w+", blocks[3], re.MULTILINE) == ["make demo", "make test"]


def test_every_verb_it_names_is_in_the_makefile() -> None:
    verbs = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`|; )make ([a-z]+)", README, re.MULTILINE))
    assert named <= verbs
    assert {"demo", "up", "test", "check", "bench"} <= named


def test_every_call_of_its_table_is_in_the_contract() -> None:
    paths = json.loads((ROOT / "openapi" / "openapi.json").read_text())["paths"]
    calls = re.findall(r"^\| `(GET|POST|PUT|DELETE) (/v1[^`]*)`", README, re.MULTILINE)
    assert len(calls) >= 8
    for method, path in calls:
        whole = re.sub(r"\?.*", "", path).replace("{id}", "{edit_id}")
        shortest = re.sub(r"\[.*\]", "", whole)
        assert method.lower() in paths[shortest], path
        if "[" in whole:
            longest = whole.replace("[", "").replace("]", "").replace("{n}", "{number}")
            assert method.lower() in paths[longest], path


def test_the_defaults_of_its_parameter_table_are_the_codes() -> None:
    defaults = {field.name: field.default for field in dataclasses.fields(EditConfig)}
    rows = re.findall(r"^\| `(\w+)` \| .+ \| `?([^`|]+?)`? \|$", README, re.MULTILINE)
    named = {name: value for name, value in rows if name in defaults}
    assert {"method", "inversion", "constraint", "injection", "strength"} <= set(named)
    for name, value in named.items():
        default = defaults[name]
        assert (float(value) if isinstance(default, float) else value) == default, name


def test_its_links_to_files_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_changelog_keeps_its_form() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert "keepachangelog.com" in changelog
    assert re.search(r"^## \[Unreleased\]$", changelog, re.MULTILINE)


def test_its_tables_of_methods_and_inversions_are_the_cards() -> None:
    for card in METHOD_CARDS.values():
        whole = sum(planned(EditConfig(method=card.name), inverted=False).values(), Passes()).work
        papers = ", ".join(f"[{paper.title}](https://arxiv.org/abs/{paper.arxiv})" for paper in card.papers)
        looks_at = ", ".join(name.replace("_", " ") for name in card.inputs if name != "image")
        assert f"| `{card.name}` | {papers} | {card.summary} | {looks_at} | {whole:g} |\n" in README
    for inversion in INVERSION_CARDS.values():
        plan = inversion.plan(EditConfig(inversion=inversion.name)).values()
        own = sum(plan, Passes(forward=EditConfig.steps)).work
        paper = f"[{inversion.paper.title}](https://arxiv.org/abs/{inversion.paper.arxiv})"
        assert f"| `{inversion.name}` | {paper} | {inversion.summary} | {own:g} |\n" in README
