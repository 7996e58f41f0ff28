"""The page reads prompts as the service does."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
from playwright.sync_api import Browser
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import TemplateProcessing

from magedit.demo import checkpoint_path
from magedit.demo.named import DEMO_EDITS, demo_edit
from magedit.errors import WordNotFound
from magedit.prompts.alignment import Tokenize, added_phrases, find_word, from_tokenizers
from magedit.prompts.kinds import config_for, filling_between, filling_words, kind_of
from magedit.prompts.words import whole_words
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
SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"method": "p2p"},
    {"strength": 0.0},
    {"strength": 0.5},
    {"sweep": (0.0, 0.5)},
    {"sweep": (0.0,)},
    {"max_iterations": 0},
    {"guided_fraction": 0.0},
    {"injection": "pnp"},
    {"kind": "removal"},
    {"kind": "attribute"},
    {"preset": "exact"},
)
READ = """async ([pairs, prompts, specs, settings]) => {
  const [words, kinds] = await Promise.all([import("/page/words.js"), import("/page/kinds.js")]);
  return {
    spans: prompts.map((prompt) => words.wholeWords(prompt).map(([start, end]) => prompt.slice(start, end))),
    fresh: pairs.map(([source, target]) => words.addedPhrases(source, target)),
    standard: pairs.map(([source, target]) => kinds.defaultWords(source, target)),
    kinds: pairs.map(([source, target]) => kinds.kindOf(source, target)),
    filling: prompts.map(kinds.fillingWords),
    guided: pairs.map(([source, target]) =>
      settings.map((each) => kinds.isGuided((name) => each[name] ?? "", source, target, false)),
    ),
    found: prompts.map((prompt) =>
      specs.map((spec) => words.findWord(prompt, spec).map(([a, b]) => [prompt.slice(0, a), prompt.slice(a, b)])),
    ),
  };
}"""


def text(value: Any) -> str:
    """What a field of the page holds for a parameter."""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def word_level() -> Tokenize:
    """A tokenizer that knows every word and sign of `PROMPTS`."""
    split = Split(Regex(r"\w+|[^\s\w]"), "removed", invert=True)
    tokens = [token for prompt in PROMPTS for token, _ in split.pre_tokenize_str(prompt.lower())]
    vocabulary = ["<start>", "<end>", "<unknown>", *dict.fromkeys(tokens)]
    tokenizer = Tokenizer(WordLevel({token: n for n, token in enumerate(vocabulary)}, unk_token="<unknown>"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = split
    tokenizer.post_processor = TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 0), ("<end>", 1)]
    )
    return from_tokenizers(tokenizer.to_str())


def found(prompt: str, spec: str) -> list[list[str]]:
    """Where the service finds ``spec``, as the text before and the word; nowhere if it refuses it.

    Python counts characters, JavaScript UTF-16 units: numbers would differ behind an emoji.
    """
    try:
        return [[prompt[:a], prompt[a:b]] for a, b in find_word(prompt, spec)]
    except WordNotFound:
        return []


def added(tokenize: Tokenize, source: str, target: str) -> list[str]:
    """The phrases that the service guides by default."""
    return list(added_phrases(target, tokenize(source), tokenize(target)))


def standard(tokenize: Tokenize, source: str, target: str) -> list[str]:
    """The words that a region without any gets."""
    return list(filling_between(source, target)) or added(tokenize, source, target)


def guided(settings: dict[str, Any], source: str, target: str) -> bool:
    """Whether the service needs words."""
    return config_for(source, target, **settings).is_guided


def test_words_are_read_as_the_service_reads_them(browser: Browser, shared_client: httpx.Client) -> None:
    pairs = list(itertools.product(PROMPTS, PROMPTS))
    expected = [added(word_level(), *pair) for pair in pairs]
    defaults = [standard(word_level(), *pair) for pair in pairs]
    demo = from_tokenizers((checkpoint_path() / "tokenizer" / "tokenizer.json").read_text())
    for edit in map(demo_edit, DEMO_EDITS):
        pairs.append((edit.source_prompt, edit.target_prompt))
        expected.append(added(demo, *pairs[-1]))
        defaults.append(standard(demo, *pairs[-1]))
    with visiting(browser, str(shared_client.base_url)) as page:
        shown = [{name: text(value) for name, value in each.items()} for each in SETTINGS]
        read = page.evaluate(READ, [pairs, PROMPTS, SPECS, shown])
    assert read["spans"] == [[prompt[a:b] for a, b in whole_words(prompt)] for prompt in PROMPTS]
    assert read["found"] == [[found(prompt, spec) for spec in SPECS] for prompt in PROMPTS]
    assert read["fresh"] == expected
    assert read["standard"] == defaults
    assert read["kinds"] == [kind_of(*pair) for pair in pairs]
    assert {"attribute", "replacement", "addition", "removal"} == set(read["kinds"])
    assert read["filling"] == [list(filling_words(prompt)) for prompt in PROMPTS]
    assert read["guided"] == [[guided(each, *pair) for each in SETTINGS] for pair in pairs]
