"""The lexicon of word classes that prompts are read with, from WordNet 3.0 (see `magedit.prompts.lexicon`)."""

from __future__ import annotations

import argparse
import gzip
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from magedit.prompts import lexicon

_WORD = re.compile(r"[a-z][a-z'-]*[a-z](?:_[a-z]{3,})?")
_NOTICE = "# From WordNet 3.0, Copyright 2006 by Princeton University. All rights reserved. See WORDNET-LICENSE.\n"
_FILES, _CLASSES = ("noun", "verb", "adj", "adv"), "nvar"
_MATERIALS = ("material", "fabric", "building_material", "metallic_element", "rock", "precious_metal")
_COLOURS = ("chromatic_color", "achromatic_color")
_SENSES = 4
"""Senses of a word that are considered; rarer ones mislead."""


class _Synset(NamedTuple):
    words: tuple[str, ...]
    above: tuple[str, ...]


def build(wordnet: Path) -> bytes:
    """The file, from the folder with WordNet's own (`index.*`, `data.*`, `*.exc`, `cntlist.rev`), compressed."""
    counts: Counter[tuple[str, str]] = Counter()
    for line in (wordnet / "cntlist.rev").read_text().splitlines():
        key, _, count = line.split(" ")
        word, sense = key.split("%")
        counts[word, "nvara"[int(sense[0]) - 1]] += int(count)
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    senses: dict[str, tuple[str, ...]] = {}
    for at, (name, kind) in enumerate(zip(_FILES, _CLASSES, strict=True)):
        for word, offsets in _index(wordnet / f"index.{name}"):
            found[word][at] = min(9, 1 + counts[word, kind].bit_length())
            if kind == "n":
                senses[word] = offsets[:_SENSES]
    nouns = dict(_synsets(wordnet / "data.noun"))
    named = {"m": _below(nouns, _MATERIALS), "c": _below(nouns, _COLOURS)}
    names = {
        word: "".join(letter for letter, synsets in named.items() if not synsets.isdisjoint(own))
        for word, own in senses.items()
    }
    bases: dict[str, str] = {}
    plurals: set[str] = set()
    for at, name in enumerate(_FILES):
        for line in (wordnet / f"{name}.exc").read_text().splitlines():
            form, base = line.split(" ")[:2]
            if base in found and _WORD.fullmatch(form):
                found[form][at] = max(found[form][at], found[base][at])
                bases.setdefault(form, base)
                plurals |= {form} if name == "noun" and form != base else set()
    lines = []
    for word, digits in found.items():
        letters = names.get(word, "") + "i" * (word in bases) + "p" * (word in plurals)
        lines.append(" ".join(filter(None, (word, "".join(map(str, digits)), letters, bases.get(word)))))
    text = _NOTICE + "".join(f"{line}\n" for line in sorted(lines))
    return gzip.compress(text.encode(), mtime=0)


def _index(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    for line in path.read_text().splitlines():
        if line.startswith(" "):
            continue
        fields = line.split()
        if _WORD.fullmatch(fields[0]):
            number = int(fields[2])
            yield fields[0], tuple(fields[-number:])


def _synsets(path: Path) -> Iterator[tuple[str, _Synset]]:
    for line in path.read_text().splitlines():
        if line.startswith(" "):
            continue
        fields = line.split(" | ")[0].split()
        number = int(fields[3], 16)
        words = tuple(fields[4 : 4 + 2 * number : 2])
        pointers = fields[5 + 2 * number :]
        yield (
            fields[0],
            _Synset(words, tuple(pointers[k + 1] for k in range(0, len(pointers), 4) if pointers[k] == "@")),
        )


def _below(synsets: dict[str, _Synset], names: tuple[str, ...]) -> set[str]:
    """The synsets that these words come first in, and all below them."""
    found = {key for key, synset in synsets.items() if synset.words[0] in names}
    while True:
        more = {key for key, synset in synsets.items() if key not in found and not found.isdisjoint(synset.above)}
        if not more:
            return found
        found |= more


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wordnet", type=Path, help="folder with index.noun and the like (Debian: wordnet-base)")
    (Path(lexicon.__file__).parent / lexicon.FILE).write_bytes(build(parser.parse_args().wordnet))
