"""Prompts and place from an instruction."""

from __future__ import annotations

from typing import Any

from magedit.edits.asked import read_asked
from magedit.edits.resolve import resolve
from magedit.errors import (
    InstructionNotUnderstood,
    InvalidParameter,
    PromptNotSupported,
    SeveralFound,
    UnknownMethod,
)
from magedit.instructions.language_model import LanguageModel
from magedit.methods.registry import METHODS
from magedit.prompts.alignment import from_tokenizers
from tests.magedit.edits.conftest import INSTRUCTED, PROMPTS, refused, resolved
from tests.service.conftest import model_info, tokenizer_json

INSTRUCTION: dict[str, Any] = {"target_prompt": None, "instruction": "make the left carpet purple"}


def test_missing_prompts_are_derived_from_the_instruction() -> None:
    edit = resolved(masks=0, **INSTRUCTION).edit()
    assert (edit.source_prompt, edit.target_prompt) == tuple(PROMPTS.values())
    assert edit.kind == "attribute"
    assert [region.words for region in edit.regions] == [("purple carpet",)]
    assert edit.instruction is not None
    assert (edit.instruction.phrase, edit.instruction.read_by) == ("left carpet", "rules")
    alone = resolved(**INSTRUCTION | {"source_prompt": None}).edit()
    assert (alone.source_prompt, alone.target_prompt) == ("a carpet", "a purple carpet")


def test_explicit_values_win_over_the_instruction() -> None:
    given = INSTRUCTION | {"target_prompt": "a purple room", "words": ["room"]}
    edit = resolved(**given).edit()
    assert (edit.target_prompt, edit.regions[0].words) == ("a purple room", ("room",))
    assert edit.instruction is not None
    assert edit.instruction.target_prompt == PROMPTS["target_prompt"]


def test_an_instruction_that_cannot_be_carried_out_is_rejected() -> None:
    refused(InvalidParameter, "target_prompt", target_prompt=None)
    refused(InstructionNotUnderstood, "instruction", **INSTRUCTION | {"instruction": "make it purple"})
    refused(InvalidParameter, "mask", masks=0, **INSTRUCTION | {"instruction": "add a carpet"})
    refused(InvalidParameter, "instruction", **INSTRUCTION | {"instruction": "make the carpet purple" + "!" * 500})
    refused(PromptNotSupported, "target_prompt", **INSTRUCTION | {"instruction": "make the carpet pink"})
    two = "a green carpet with a purple carpet"
    refused(SeveralFound, "instruction", **INSTRUCTION | {"source_prompt": two, "instruction": "make the carpet green"})


def test_a_problem_of_the_instruction_is_reported_along_with_the_others() -> None:
    found = resolved(**INSTRUCTION | {"instruction": "make it purple", "method": "sine", "info": {}})
    assert [type(each) for each in found.problems] == [InstructionNotUnderstood, UnknownMethod]


def test_a_checkpoint_that_edits_by_instruction_gets_the_sentence() -> None:
    values = INSTRUCTION | {"source_prompt": None, "info": INSTRUCTED}
    told = resolved(**values | {"instruction": "let it snow"}).edit()
    assert (told.target_prompt, told.config.method) == ("let it snow", "instruct-pix2pix")
    assert told.instruction is not None
    assert (told.instruction.read_by, told.instruction.phrase) == ("checkpoint", None)
    found = resolved(masks=0, **values).edit()
    assert found.instruction is not None
    assert found.instruction.phrase == "left carpet"
    refused(InstructionNotUnderstood, "instruction", masks=0, **values | {"instruction": "let it snow"})


def test_a_fallback_to_rules_is_a_warning() -> None:
    checkpoint = model_info(methods=tuple(METHODS)).as_checkpoint(from_tokenizers(tokenizer_json()))
    away = LanguageModel("http://127.0.0.1:1/v1", "small", timeout_s=1)
    asked = read_asked({"source_prompt": PROMPTS["source_prompt"], "instruction": "make the carpet purple"})
    edit = resolve(asked, checkpoint, read=away).edit()
    away.close()
    (warning,) = edit.warnings
    assert (warning.code, warning.field) == ("read_by_rules", "instruction")
    assert "cannot be reached" in warning.message
