"""Checks that a model's workers can find the masks that a request leaves to them."""

from __future__ import annotations

from jobs.models import ModelInfo
from magedit.edits.resolved import ResolvedEdit
from magedit.errors import InvalidEdit, NoFinder, PromptNotSupported
from magedit.masks.phrases import Phrase
from magedit.masks.shapes import MaskPrompt, MaskShape
from magedit.prompts.checks import told_unknown, unknown_words


def require_finder(info: ModelInfo, prompt: MaskPrompt) -> None:
    """Hold what is to be found against what the model's workers can find things by. Raises NoFinder,
    PromptNotSupported."""
    needs = prompt.needs
    if needs in info.finds_by:
        if prompt.words is not None and not info.detects:
            _require_known_words(prompt.words, info)
        return
    ways = " or ".join(f"`{each}`" for each in info.finds_by)
    cure = f"ask by {ways}" if ways else "ask another model"
    if needs != "words":
        cure += ", or start its workers with a segmenter (MAGEDIT_SEGMENTER)"
    raise NoFinder(f"model {info.name!r} finds nothing by `{needs}`: {cure}", field=needs)


def _require_known_words(words: str, info: ModelInfo) -> None:
    """What attention is to find must be words of the model. Raises PromptNotSupported."""
    vocabulary = info.vocabulary
    if vocabulary is not None and (unknown := unknown_words(Phrase.read(words).thing, vocabulary)):
        raise PromptNotSupported(told_unknown(unknown, vocabulary), field="words")


def instructed_shapes(edit: ResolvedEdit, info: ModelInfo) -> tuple[MaskShape, ...]:
    """The mask of an edit without one: by the words of its instruction. Raises NoFinder, PromptNotSupported."""
    assert edit.instruction is not None
    shape = edit.instruction.shape(detects=info.detects)
    assert shape.to_find is not None
    try:
        require_finder(info, shape.to_find)
    except InvalidEdit as error:
        raise type(error)(error.message, field="instruction") from error
    return (shape,)
