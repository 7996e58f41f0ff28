"""A form held against model and limits without a server; over HTTP the same is tested in test_submission."""

from __future__ import annotations

import io
from typing import Any

import pytest
from fastapi import UploadFile
from fastapi.exceptions import RequestValidationError

from jobs.schema import JobOptions
from jobs.settings import Settings
from magedit.edits.asked import read_asked
from magedit.errors import InvalidParameter, MaskMismatch, NotTogether
from magedit.prompts.alignment import from_tokenizers
from service.edits.form import EditForm
from service.edits.validation import Checked, check
from service.errors import ImageTooLarge
from tests.service.conftest import SIZE, mask, model_info, picture, tokenizer_json

PROMPTS: dict[str, Any] = {
    "source_prompt": "a room with a green carpet",
    "target_prompt": "a room with a purple carpet",
}


def checked(image: bytes | None = None, settings: Settings | None = None, **values: Any) -> Checked:
    options = JobOptions(artifacts=("crop", "trace", "crop"), stop_if_hopeless=values.pop("stop_if_hopeless", False))
    form = EditForm(
        image=UploadFile(io.BytesIO(image or picture())),
        mask=[UploadFile(io.BytesIO(mask()))],
        mask_id=[],
        mask_mode=values.pop("mask_mode", "white"),
        asked=read_asked(PROMPTS | values),
        options=options,
    )
    return check(form, model_info(), from_tokenizers(tokenizer_json()), settings or Settings())


def test_a_valid_form_is_resolved() -> None:
    request, image, masks = checked(steps=7, mask_mode="black")
    assert request.model == "demo"
    assert request.config.steps == 7
    assert request.artifacts == ("crop", "trace")
    assert [region.words for region in request.regions] == [("purple carpet",)]
    assert (image.mode, image.size) == ("RGB", SIZE)
    assert [each and each.getpixel((15, 15)) for each in masks] == [0]


def test_pictures_are_checked_against_the_limits() -> None:
    with pytest.raises(MaskMismatch, match="64x48"):
        checked(picture((80, 60)))
    with pytest.raises(ImageTooLarge):
        checked(settings=Settings(max_side=50))


def test_the_settings_bound_the_results() -> None:
    with pytest.raises(InvalidParameter, match="at most 2"):
        checked(n=3, settings=Settings(max_results=2))


def test_an_edit_needs_a_picture() -> None:
    form = EditForm(mask=[UploadFile(io.BytesIO(mask()))], mask_id=[], asked=read_asked(PROMPTS), options=JobOptions())
    with pytest.raises(RequestValidationError) as caught:
        check(form, model_info(), from_tokenizers(tokenizer_json()), Settings())
    assert caught.value.errors()[0]["loc"] == ("body", "image")


def test_an_edit_that_selects_does_not_stop_where_it_seems_hopeless() -> None:
    with pytest.raises(NotTogether, match="selection 'likelihood'") as caught:
        checked(selection="likelihood", stop_if_hopeless=True)
    assert caught.value.field == "stop_if_hopeless"
    assert checked(stop_if_hopeless=True).request.stop_if_hopeless
    # Without guidance there is nothing to select.
    assert checked(selection="likelihood", strength=0.0, stop_if_hopeless=True).request.config.selection == "likelihood"
