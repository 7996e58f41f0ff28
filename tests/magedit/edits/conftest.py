"""Requests resolved against a model's announcement."""

from __future__ import annotations

from typing import Any

import pytest

from magedit.edits.asked import read_asked
from magedit.edits.resolution import Limits, Resolution
from magedit.edits.resolve import resolve
from magedit.errors import InvalidEdit
from magedit.methods.registry import METHODS
from magedit.prompts.alignment import from_tokenizers
from tests.service.conftest import model_info, tokenizer_json

PROMPTS: dict[str, Any] = {
    "source_prompt": "a room with a green carpet",
    "target_prompt": "a room with a purple carpet",
}


def resolved(masks: int | None = 1, limits: Limits | None = None, **values: Any) -> Resolution:
    info: dict[str, Any] = values.pop("info", {"methods": tuple(METHODS)})
    checkpoint = model_info(**info).as_checkpoint(from_tokenizers(tokenizer_json()))
    given = {name: value for name, value in (PROMPTS | values).items() if value is not None}
    return resolve(read_asked(given), checkpoint, masks=masks, limits=limits)


def refused(error: type[InvalidEdit], field: str, **values: Any) -> None:
    with pytest.raises(error) as caught:
        resolved(**values).edit()
    assert caught.value.field == field


INSTRUCTED: dict[str, Any] = {"methods": ("instruct-pix2pix",), "inversions": (), "vocabulary": None}
