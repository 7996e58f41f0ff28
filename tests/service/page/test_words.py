"""The page finds words of prompts as the service does."""

from __future__ import annotations

import itertools

import httpx
import regex
from playwright.sync_api import Browser

from magedit.errors import WordNotFound
from magedit.prompts.alignment import align, find_word
from magedit.prompts.words import fold, whole_words
from tests.service.page.conftest import visiting

PROMPTS = (
    "a room with a red carpet",
    "a room with a yellow carpet",
    "a Room, with 2 red carpets",
    "a well-lit room; the sofa's pillow",
    "the red lamp and the red pillow and a red ball",
    "the red lamp and the blue pillow and a red ball",
    "ein grünes Sofa – c'est l’été",
    "no window",
    "a 🐶 on the cafe\u0301’s T‑shirt, 👍🏽 1️⃣ 🇫🇷",
    "a room with a red carpet on a wooden floor, a lamp",
    "a lamp",
    "a room",
    "a sofa and a lamp, the",
    "a sofa",
    "a green sofa under the sky, and grass",
)
SPECS = (
    "red",
    "red carpet",
    "red[2]",
    "red[3]",
    "RED pillow",
    "car",
    "sofa's",
    "l’été",
    "red[0]",
    " , ",
    "🐶",
    "café's t-shirt",
    "👍🏽",
)
READ = """async ([prompts, specs]) => {
  const words = await import("/page/words.js");
  const at = (prompt, [start, end]) => [prompt.slice(0, start), prompt.slice(start, end)];
  return {
    spans: prompts.map((prompt) => words.wholeWords(prompt).map((span) => at(prompt, span)[1])),
    found: prompts.map((prompt) => specs.map((spec) => words.findWord(prompt, spec).map((span) => at(prompt, span)))),
    fresh: prompts.flatMap((source) =>
      prompts.map((target) => words.newSpans(source, target).map((span) => at(target, span))),
    ),
  };
}"""


def found(prompt: str, spec: str) -> list[list[str]]:
    """Where the service finds ``spec``, as the text before and the word; nowhere if it refuses it.

    Python counts characters, JavaScript UTF-16 units: numbers would differ behind an emoji.
    """
    try:
        return [[prompt[:a], prompt[a:b]] for a, b in find_word(prompt, spec)]
    except WordNotFound:
        return []


def fresh(source: str, target: str) -> list[list[str]]:
    """The words of the target that the alignment of both prompts' words and signs finds new."""
    old, new = ([fold(text[a:b]) for a, b in _tokens(text)] for text in (source, target))
    numbers = {word: n for n, word in enumerate(dict.fromkeys((*old, *new)))}
    mapper = align([numbers[word] for word in old], [numbers[word] for word in new], len(new)).mapper
    spans = [span for span, k in zip(_tokens(target), mapper, strict=True) if k < 0]
    return [
        [target[:a], target[a:b]] for a, b in whole_words(target) if any(start < b and a < end for start, end in spans)
    ]


def _tokens(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in regex.finditer(r"[\p{L}\p{M}\p{N}_]+|[^\s\p{L}\p{M}\p{N}_]", text)]


def test_words_are_those_of_the_service(browser: Browser, shared_client: httpx.Client) -> None:
    with visiting(browser, str(shared_client.base_url)) as page:
        read = page.evaluate(READ, [PROMPTS, SPECS])
    assert read["spans"] == [[prompt[a:b] for a, b in whole_words(prompt)] for prompt in PROMPTS]
    assert read["found"] == [[found(prompt, spec) for spec in SPECS] for prompt in PROMPTS]
    assert read["fresh"] == [fresh(*pair) for pair in itertools.product(PROMPTS, PROMPTS)]
