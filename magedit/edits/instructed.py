"""Prompts and place of an edit that are read from its instruction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from magedit.config import EditConfig
from magedit.edits.asked import AskedEdit
from magedit.edits.checkpoint import Checkpoint
from magedit.errors import InvalidParameter
from magedit.instructions.reading import INSTRUCTION_MAX, Instruction, ReadInstruction
from magedit.measures.report import EditWarning
from magedit.methods.registry import METHODS


def with_prompts(
    asked: AskedEdit,
    configs: Sequence[EditConfig],
    checkpoint: Checkpoint,
    masks: int | None,
    read: ReadInstruction,
) -> tuple[AskedEdit, Instruction | None]:
    """The request with missing prompts derived from its instruction.

    Raises:
        InvalidEdit: there is neither an instruction nor a target prompt, or the instruction cannot be carried out.
    """
    if asked.instruction is None:
        if asked.target_prompt is None:
            raise InvalidParameter(
                "say what the image shows after the edit, or give an `instruction`", field="target_prompt"
            )
        return asked, None
    if len(asked.instruction) > INSTRUCTION_MAX:
        raise InvalidParameter(
            f"it has {len(asked.instruction)} characters; at most {INSTRUCTION_MAX} are read", field="instruction"
        )
    if any(METHODS[config.method].own_checkpoint for config in configs):
        found = _taken_whole(asked.instruction, masks, read)
        return replace(asked, target_prompt=asked.target_prompt or asked.instruction), found
    found = read(asked.instruction, asked.source_prompt, checkpoint.vocabulary)
    _require_place(found, masks)
    source = asked.source_prompt or found.source_prompt
    return replace(asked, source_prompt=source, target_prompt=asked.target_prompt or found.target_prompt), found


def _taken_whole(text: str, masks: int | None, read: ReadInstruction) -> Instruction:
    """The instruction for a checkpoint in InstructPix2Pix layout, which takes it as its prompt; parsed only to locate
    the edit when there is no mask."""
    phrase = None
    if masks == 0:
        found = read(text, None, None)
        _require_place(found, masks)
        phrase = found.phrase
    return Instruction(
        text=text, phrase=phrase, source_prompt="", target_prompt=text, read_by="checkpoint", seconds=0.0
    )


def _require_place(found: Instruction, masks: int | None) -> None:
    """Raises InvalidParameter if there is no mask and the instruction names no place."""
    if masks == 0 and found.phrase is None:
        raise InvalidParameter(
            f"{found.text!r} does not say where in the picture: give a mask, or name a thing ('add a hat to the dog')",
            field="mask",
        )


def unread(instruction: Instruction | None) -> Iterator[EditWarning]:
    """The warning that rules, not the language model, parsed the instruction."""
    if instruction is not None and instruction.warning is not None:
        yield EditWarning(
            code="read_by_rules",
            message=f"{instruction.warning}; the instruction was parsed by rules instead",
            field="instruction",
        )
