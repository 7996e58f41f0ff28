"""README: short, and it begins with what a newcomer needs."""

from __future__ import annotations

import re

from magedit.inversion.registry import INVERSIONS
from magedit.methods.registry import METHODS
from tests.docs.conftest import README, ROOT

TEXT = README.read_text()


def test_it_begins_with_a_sentence_a_picture_and_the_two_commands() -> None:
    blocks = [block for block in TEXT.split("\n\n") if block.strip()]
    assert blocks[0].startswith("# ")
    assert blocks[1].endswith(".")
    assert blocks[1].count(".") == 1
    picture = re.fullmatch(r"!\[.+\]\((.+)\)", blocks[2], re.DOTALL)
    assert picture is not None
    assert (ROOT / picture[1]).read_bytes().startswith(b"\x89PNG")
    assert re.findall(r"^make \w+", blocks[3], re.MULTILINE) == ["make demo", "make test"]


def test_it_fits_on_three_screens() -> None:
    assert len(TEXT.splitlines()) <= 150


def test_it_links_every_page_of_the_documentation() -> None:
    linked = set(re.findall(r"\]\((docs/[^)#]+\.md)", TEXT))
    pages = {str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")} - {"docs/index.md"}
    assert linked == pages


def test_it_counts_methods_and_inversions_right() -> None:
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    counted = re.search(r"\*\*(\w+) methods, (\w+) inversions\.\*\*", TEXT)
    assert counted is not None
    assert [words.index(each.lower()) for each in counted.groups()] == [len(METHODS), len(INVERSIONS)]
