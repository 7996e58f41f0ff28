"""Checks that a model's workers can locate the masks of a request."""

from __future__ import annotations

from jobs.models import ModelInfo
from magedit.edits.resolved import ResolvedEdit
from magedit.errors import InvalidEdit, NoFinder
from magedit.masks.phrases import Phrase
from magedit.masks.shapes import MaskPrompt, MaskShape
from magedit.prompts.checks import check_vocabulary, in_vocabulary


def require_finder(info: ModelInfo, prompt: MaskPrompt) -> None:
    """Check that the model's workers can locate a mask prompt. Raises NoFinder, PromptNotSupported."""
    needs = prompt.needs
    if needs in info.finds_by:
        if prompt.words is not None and not info.detects:
            _require_known_words(prompt.words, info)
        return
    ways = " or ".join(f"`{each}`" for each in info.finds_by)
    cure = f"use {ways}" if ways else "use another model"
    if needs != "words":
        cure += ", or start its workers with a segmenter (MAGEDIT_SEGMENTER)"
    raise NoFinder(f"model {info.name!r} cannot locate things by `{needs}`: {cure}", field=needs)


def _require_known_words(words: str, info: ModelInfo) -> None:
    """Words located by attention must be in the model's vocabulary. Raises PromptNotSupported."""
    check_vocabulary(in_vocabulary(Phrase.read(words).thing, info.vocabulary), info.vocabulary, field="words")


def instructed_shapes(edit: ResolvedEdit, info: ModelInfo) -> tuple[MaskShape, ...]:
    """The mask shape for an edit without one: the words of its instruction. Raises NoFinder, PromptNotSupported."""
    assert edit.instruction is not None
    shape = edit.instruction.shape
    assert shape.to_find is not None
    try:
        require_finder(info, shape.to_find)
    except InvalidEdit as error:
        raise type(error)(error.message, field="instruction") from error
    return (shape,)
