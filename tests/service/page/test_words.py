"""The page reads prompts as the service does."""

from __future__ import annotations

import itertools

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
from magedit.prompts import Tokenize, find_word, from_tokenizers, new_words, whole_words
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
)
SPECS = ("red", "red carpet", "red[2]", "red[3]", "RED pillow", "car", "sofa's", "l’été", "red[0]", " , ")
READ = """async ([pairs, prompts, specs]) => {
  const words = await import("/page/words.js");
  return {
    spans: prompts.map(words.wholeWords),
    fresh: pairs.map(([source, target]) => words.newWords(source, target)),
    found: prompts.map((prompt) => specs.map((spec) => words.findWord(prompt, spec))),
  };
}"""


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


def spans(prompt: str, spec: str) -> list[list[int]]:
    """Where the service finds ``spec``; nowhere if it refuses it."""
    try:
        return [list(span) for span in find_word(prompt, spec)]
    except WordNotFound:
        return []


def added(tokenize: Tokenize, source: str, target: str) -> list[str]:
    """The words that the service guides by default."""
    return list(new_words(target, tokenize(source), tokenize(target)))


def test_words_are_read_as_the_service_reads_them(browser: Browser, shared_client: httpx.Client) -> None:
    pairs = list(itertools.product(PROMPTS, PROMPTS))
    expected = [added(word_level(), *pair) for pair in pairs]
    demo = from_tokenizers((checkpoint_path() / "tokenizer" / "tokenizer.json").read_text())
    for edit in map(demo_edit, DEMO_EDITS):
        pairs.append((edit.source_prompt, edit.target_prompt))
        expected.append(added(demo, *pairs[-1]))
    with visiting(browser, str(shared_client.base_url)) as page:
        read = page.evaluate(READ, [pairs, PROMPTS, SPECS])
    assert read["spans"] == [[list(span) for span in whole_words(prompt)] for prompt in PROMPTS]
    assert read["found"] == [[spans(prompt, spec) for spec in SPECS] for prompt in PROMPTS]
    assert read["fresh"] == expected
