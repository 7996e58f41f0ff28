"""An accepted edit can always be looked at, canceled and deleted."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from jobs import keys
from jobs.records.encoding import decode, encode
from jobs.schema import EditRequest, JobRecord
from magedit.config import NEGATIVE_PROMPT_MAX, WORD_MAX, WORDS_MAX
from magedit.edits.asked import read_asked
from magedit.edits.resolution import Limits
from magedit.edits.resolve import resolve
from magedit.errors import InvalidEdit
from magedit.inversion.registry import INVERSIONS
from magedit.methods.registry import METHODS
from magedit.prompts.alignment import Tokenize, from_tokenizers
from tests.service.conftest import Announce, Form, WorkerSide, assert_problem, model_info

SEVENTEEN = (
    "a room, lamp, pot, ball, rug, sofa, couch, table, plant, clock, pillow, cushion, carpet, curtain, painting, "
    "picture, window, shade"
)
"""A target prompt with 17 phrases that "a room" lacks."""


def open_tokenizer(words: tuple[str, ...]) -> str:
    """A tokenizer that knows these words and takes every other for one and the same."""
    vocabulary = {token: n for n, token in enumerate(("<start>", "<end>", "<unknown>", *words))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unknown>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 0), ("<end>", 1)]
    )
    return str(tokenizer.to_str())


KNOWN = (*SEVENTEEN.replace(",", " ,").split(), "wall", "floor", "grass", "without", "with", "red", "n" * 101)
TOKENIZE: Tokenize = from_tokenizers(open_tokenizer(tuple(dict.fromkeys(KNOWN))))
INFO = model_info(vocabulary=None, max_prompt_tokens=10_000, methods=tuple(METHODS), inversions=tuple(INVERSIONS))
LIMITS = Limits(results=8, regions=2)

word = st.one_of(st.sampled_from(KNOWN), st.text(max_size=8))
prompt = st.one_of(
    st.lists(word, min_size=1, max_size=60).map(" ".join),
    st.text(min_size=1, max_size=40),
    st.just(SEVENTEEN),
)
number = st.one_of(st.integers(-2, 300), st.floats(width=32), st.sampled_from(["nan", "inf", "-inf", "1e400", "0.5"]))
number_text = number.map(str)
words_of_numbers = st.dictionaries(word, st.floats(-20, 20), max_size=20)
region = st.fixed_dictionaries({}, optional={"words": st.lists(word, max_size=20), "weight": st.floats(-1, 2)})
NUMBERS = (
    *(
        "steps",
        "guidance_scale",
        "strength",
        "guidance_step_size",
        "max_iterations",
        "seed",
        "n",
        "cross_replace",
        "skip_fraction",
    ),
    *("local_blend", "eta", "paste_margin"),
)
forms = st.fixed_dictionaries(
    {"source_prompt": prompt, "target_prompt": prompt},
    optional={
        **dict.fromkeys(NUMBERS, number_text),
        "words": st.lists(word, max_size=20),
        "regions": st.lists(region, max_size=2),
        "negative_prompt": st.text(max_size=NEGATIVE_PROMPT_MAX + 50),
        "equalizer": words_of_numbers,
        "cross_replace_words": words_of_numbers,
        "sweep": st.lists(number_text, max_size=70),
        "method": st.sampled_from(sorted(METHODS)),
        "inversion": st.sampled_from(sorted(INVERSIONS)),
        "compare": st.lists(st.sampled_from(sorted(METHODS)), max_size=9),
        "kind": st.sampled_from(("auto", "attribute", "replacement", "addition", "removal")),
        "preset": st.sampled_from(("exact", "balanced", "fast", "turbo")),
    },
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(form=forms)
@example(form={"source_prompt": "a room", "target_prompt": SEVENTEEN})
@example(form={"source_prompt": "a room", "target_prompt": f"a {'n' * 101} room", "strength": "0"})
@example(form={"source_prompt": ("n" * 101 + "!") * 9, "target_prompt": "a wall", "kind": "removal"})
@example(form={"source_prompt": "!".join("abcdefgh" * 60), "target_prompt": "a", "kind": "removal"})
@example(form={"source_prompt": "a ball", "target_prompt": ", ".join(["red wall"] * 20), "kind": "removal"})
def test_accepted_edits_read_back_equal(form: dict[str, Any]) -> None:
    try:
        edit = resolve(read_asked(form), INFO.as_checkpoint(TOKENIZE), limits=LIMITS).edit()
    except InvalidEdit:
        return
    request = EditRequest(model="demo", **dict(edit))
    record = JobRecord(tenant="local", request=request, image="i", masks=("m",))
    kept = {name.encode(): text.encode() for name, text in encode(record).items()}
    assert decode(kept) == record


@pytest.fixture
def with_any_words(announce: Announce, form: Form) -> Form:
    announce(vocabulary=None, max_prompt_tokens=77)
    form.data = {"source_prompt": "a room"}
    return form


def test_the_first_phrases_are_guided_and_the_answer_says_which_are_left_out(
    client: httpx.Client, with_any_words: Form
) -> None:
    with_any_words.data["target_prompt"] = SEVENTEEN
    answer = with_any_words.send(client, {"Idempotency-Key": "seventeen"})
    assert answer.status_code == 202, answer.text
    edit = answer.json()
    (region,) = edit["request"]["regions"]
    assert region["words"] == SEVENTEEN.split(", ")[1 : 1 + WORDS_MAX]
    (warning,) = edit["warnings"]
    assert (warning["code"], warning["field"]) == ("words_left_out", "words")
    assert "'shade'" in warning["message"]
    assert client.get(edit["links"]["self"]).json()["warnings"] == edit["warnings"]
    again = with_any_words.send(client, {"Idempotency-Key": "seventeen"})
    assert (again.status_code, again.json()["id"]) == (202, edit["id"])
    assert client.delete(edit["links"]["self"]).status_code == 204


def test_a_phrase_that_is_too_long_to_guide_is_refused_with_its_cure(
    client: httpx.Client, with_any_words: Form
) -> None:
    long = "n" * (WORD_MAX + 1)
    with_any_words.data["target_prompt"] = f"a {long} room"
    problem = assert_problem(with_any_words.send(client), 422, "no_edit_words", "words")
    assert "give shorter ones in `words`" in problem["detail"]
    assert client.get("/v1/edits").json()["edits"] == []
    with_any_words.data["words"] = ["room"]
    assert with_any_words.send(client).status_code == 202


def test_a_record_that_cannot_be_read_is_shown_canceled_and_deleted(
    client: httpx.Client, form: Form, worker_side: WorkerSide
) -> None:
    key = {"Idempotency-Key": "once"}
    made = form.send(client, key).json()
    redis = worker_side.records.redis
    redis.hset(keys.EDIT + made["id"], "field_of_tomorrow", "1")

    for answer in (client.get(made["links"]["self"]), form.send(client, key)):
        assert answer.status_code in {200, 202}, answer.text
        shown = answer.json()
        assert (shown["id"], shown["state"], shown["model"], shown["request"]) == (made["id"], "queued", "demo", None)
        assert shown["problem"]["code"] == "record_unreadable"
        assert shown["queue_position"] == 0
    assert [each["id"] for each in client.get("/v1/edits").json()["edits"]] == [made["id"]]
    assert_problem(client.get(made["links"]["result"]), 500, "record_unreadable")
    with client.stream("GET", made["links"]["events"]) as events:
        assert "record_unreadable" in next(line for line in events.iter_lines() if line.startswith("data:"))

    canceled = client.put(made["links"]["cancel"])
    assert (canceled.status_code, canceled.json()["state"]) == (202, "canceled")
    assert worker_side.queue.depth("demo") == 0
    assert client.delete(made["links"]["self"]).status_code == 204
    assert_problem(client.get(made["links"]["self"]), 404, "not_found")
    assert worker_side.store.keys(f"local/{made['id']}") == []
    assert_problem(form.send(client, key), 410, "expired")


@pytest.mark.parametrize("field", ["request", "masks", "results", "measures", "created_at", "attempt", "progress"])
def test_one_damaged_field_hides_no_edit(client: httpx.Client, form: Form, worker_side: WorkerSide, field: str) -> None:
    made = form.send(client).json()
    worker_side.records.redis.hset(keys.EDIT + made["id"], field, "{no JSON")
    shown = client.get(made["links"]["self"])
    assert (shown.status_code, shown.json()["state"]) == (200, "queued"), shown.text
    assert client.put(made["links"]["cancel"]).status_code == 202
    assert client.delete(made["links"]["self"]).status_code == 204
