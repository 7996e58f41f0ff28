"""The lexicon's file, made from a WordNet of a few words."""

from __future__ import annotations

import gzip
from pathlib import Path

from recipes.lexicon import build

NOUNS = """  licence
00000001 06 n 01 fabric 0 000 | cloth
00000002 06 n 02 denim 0 dungaree 0 001 @ 00000001 n 0000 | a coarse cloth
00000003 05 n 01 goose 0 000 | a bird
00000004 20 n 01 palm_tree 0 000 | a tree
"""
NOUN_INDEX = """  licence
denim n 1 1 @ 1 0 00000002
goose n 1 0 1 1 00000003
palm_tree n 1 0 1 0 00000004
Paris n 1 0 1 0 00000003
"""


def test_words_have_their_classes_counts_and_forms(tmp_path: Path) -> None:
    files = {
        "index.noun": NOUN_INDEX,
        "data.noun": NOUNS,
        "index.verb": "lie v 1 0 1 1 00000009\n",
        "index.adj": "",
        "index.adv": "",
        "noun.exc": "geese goose\n",
        "verb.exc": "lying lie\n",
        "adj.exc": "",
        "adv.exc": "",
        "cntlist.rev": "goose%1:05:00:: 1 3\nlie%2:42:00:: 1 40\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    lines = [line for line in gzip.decompress(build(tmp_path)).decode().splitlines() if not line.startswith("#")]
    assert lines == [
        "denim 1000 m",
        "geese 3000 ip goose",
        "goose 3000",
        "lie 0700",
        "lying 0700 i lie",
        "palm_tree 1000",
    ]
