"""Room edits phrased as instructions, for checkpoints in InstructPix2Pix's layout; free of torch.

An instruction names only the object and its change.
"""

import random
from dataclasses import replace
from typing import Final

from magedit.demo.edits import DemoEdit, EditKind, named_in_full
from magedit.demo.scene import Thing

FORMS: Final[dict[str, tuple[str, ...]]] = {
    "quality": ("make the {old} {quality}", "turn the {old} {quality}"),
    "replacement": ("turn the {old} into {new}", "replace the {old} with {new}"),
    "addition": ("add {new}",),
    "removal": ("remove the {old}",),
}
"""Phrasings of each kind of edit; the first one unless another is drawn."""


def instruction(edit: DemoEdit, rng: random.Random | None = None, short: float = 0.0) -> str:
    """``edit`` phrased as one instruction.

    With ``rng``, the wording is random, and objects are named by their class only with the probability ``short``.
    """
    old = edit.vanishing[0] if edit.vanishing else None
    new = edit.appearing[0] if edit.appearing else None
    forms = FORMS.get(edit.kind, FORMS["quality"])
    is_short = rng is not None and rng.random() < short
    quality = "" if old is None or new is None else str(new.colour if new.colour != old.colour else new.pattern)
    return (rng.choice(forms) if rng else forms[0]).format(
        old=_named(old, edit.kind, is_short), new=named_in_full(new)[0] if new else "", quality=quality
    )


def _named(thing: Thing | None, kind: str, is_short: bool) -> str:
    """The existing object without its article; a plant's pot if only that changes."""
    if thing is None:
        return ""
    if thing.kind == "plant" and kind == "part":
        return "pot" if is_short else f"{thing.colour} pot"
    return thing.kind if is_short else named_in_full(thing)[0].split(" ", 1)[1]


def undone(edit: DemoEdit) -> DemoEdit:
    """The edit that restores the first room."""
    kinds: dict[EditKind, EditKind] = {"addition": "removal", "removal": "addition"}
    return replace(
        edit,
        name=f"{edit.name}-undone",
        kind=kinds.get(edit.kind, edit.kind),
        source=edit.target,
        target=edit.source,
        source_prompt=edit.target_prompt,
        target_prompt=edit.source_prompt,
        words=(),
    )
