"""A form held against model and limits without a server; over HTTP the same is tested in test_submit."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.exceptions import RequestValidationError

from jobs.settings import Settings
from magedit.config import EditConfig
from magedit.errors import MAGEditError, MaskMismatch, NotTogether, UnknownMethod, WordNotFound
from magedit.methods.registry import METHODS
from magedit.prompts.alignment import from_tokenizers
from magedit.prompts.kinds import KINDS
from service.edits.form import parse_form
from service.edits.validation import Checked, check
from service.errors import ImageTooLarge
from tests.service.conftest import SIZE, mask, model_info, picture, tokenizer_json

PROMPTS: dict[str, Any] = {
    "source_prompt": "a room with a green carpet",
    "target_prompt": "a room with a purple carpet",
}


def checked(*, size: tuple[int, int] = SIZE, settings: Settings | None = None, **data: Any) -> Checked:
    form = parse_form(picture(size), [mask()], PROMPTS | data)
    return check(form, model_info(methods=tuple(METHODS)), from_tokenizers(tokenizer_json()), settings or Settings())


def test_what_can_be_carried_out_is_resolved() -> None:
    request, image, masks = checked(steps="7", mask_mode="black")
    assert request.model == "demo"
    assert request.config.steps == 7
    assert [region.words for region in request.regions] == [("purple carpet",)]
    assert (image.mode, image.size) == ("RGB", SIZE)
    assert [each.getpixel((15, 15)) for each in masks] == [0]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"words": "zebra"}, WordNotFound),
        ({"inversion": "ddim"}, UnknownMethod),
        ({"method": "pnp", "local_blend": "0.3"}, NotTogether),
    ],
)
def test_what_does_not_fit_is_refused(data: dict[str, Any], error: type[MAGEditError]) -> None:
    data = {name: [value] if name == "words" else value for name, value in data.items()}
    with pytest.raises(error):
        checked(**data)


def test_a_source_prompt_is_asked_of_methods_that_look_at_it() -> None:
    request = checked(method="blended-latent", source_prompt="").request
    assert request.source_prompt == request.target_prompt
    with pytest.raises(RequestValidationError) as caught:
        checked(method="p2p", source_prompt="")
    assert caught.value.errors()[0]["loc"] == ("body", "source_prompt")


def test_a_model_without_the_default_method_takes_its_own() -> None:
    def edited(**data: Any) -> EditConfig:
        form = parse_form(picture(), [mask()], {"target_prompt": "make the carpet green", **data})
        info = model_info(methods=("instruct-pix2pix",), inversions=(), vocabulary=None)
        return check(form, info, from_tokenizers(tokenizer_json()), Settings()).request.config

    assert edited(steps="9") == EditConfig(method="instruct-pix2pix", steps=9)
    with pytest.raises(UnknownMethod, match="has no method 'mag-edit'"):
        edited(method="mag-edit", source_prompt="a red carpet")


def test_a_prompt_that_stands_for_the_other_is_refused_at_its_own_field() -> None:
    with pytest.raises(MAGEditError) as caught:
        checked(method="blended-latent", source_prompt="", target_prompt="a room with a zebra")
    assert caught.value.field == "target_prompt"


def test_methods_that_are_compared_are_each_checked() -> None:
    request = checked(compare=["p2p", "diffedit"], skip_fraction="0.4").request
    assert [config.method for config in request.configs] == ["p2p", "diffedit"]
    assert [config.skip_fraction for config in request.configs] == [None, 0.4]
    assert request.results == 2
    with pytest.raises(NotTogether, match="none of p2p, pnp"):
        checked(compare=["p2p", "pnp"], skip_fraction="0.4")
    for compare, most in ((["p2p", "p2p"], 8), (["p2p", "pnp", "diffedit"], 2)):
        with pytest.raises(RequestValidationError) as refused:
            checked(compare=compare, settings=Settings(max_results=most))
        assert refused.value.errors()[0]["loc"] == ("body", "compare")


def test_pictures_are_held_against_the_limits() -> None:
    with pytest.raises(MaskMismatch, match="64x48"):
        checked(size=(80, 60))
    with pytest.raises(ImageTooLarge):
        checked(settings=Settings(max_side=50))


def test_results_are_held_against_the_limit() -> None:
    request, *_ = checked(n="2", settings=Settings(max_results=2))
    assert request.config.results == 2
    for data, field in (
        ({"n": "3"}, "n"),
        ({"sweep": ["0", "0.5", "1"]}, "sweep"),
        ({"n": "2", "sweep": ["0", "1"]}, "n"),
    ):
        with pytest.raises(RequestValidationError) as caught:
            checked(settings=Settings(max_results=2), **data)
        (error,) = caught.value.errors()
        assert error["loc"] == ("body", field)
        assert "at most 2" in error["msg"]


def test_the_kind_is_told_by_the_prompts_and_what_is_sent_wins() -> None:
    request, *_ = checked()
    assert (request.kind, request.config) == ("attribute", EditConfig(**KINDS["attribute"]))
    bare: dict[str, Any] = {
        "source_prompt": "a green room with a carpet, a purple carpet",
        "target_prompt": "a green room with a carpet",
    }
    removal, *_ = checked(**bare)
    assert (removal.kind, removal.config.negative_prompt) == ("removal", "a purple carpet")
    assert removal.config == EditConfig(**KINDS["removal"], negative_prompt="a purple carpet")
    assert [region.words for region in removal.regions] == [("green room",)]
    chosen, *_ = checked(**bare, self_replace="0.5", negative_prompt="a carpet", kind="removal")
    assert (chosen.config.self_replace, chosen.config.negative_prompt) == (0.5, "a carpet")
    other, *_ = checked(**bare, kind="attribute")
    assert (other.kind, other.config) == ("attribute", EditConfig(**KINDS["attribute"]))


def test_a_removal_that_names_nothing_for_its_place_is_not_guided() -> None:
    bare: dict[str, Any] = {"source_prompt": "a green carpet, a purple carpet", "target_prompt": "a green carpet"}
    request, *_ = checked(**bare)
    assert (request.kind, request.config.strength, request.regions[0].words) == ("removal", 0.0, ())
    named, *_ = checked(**bare, words=["carpet"])
    assert named.config.strength == KINDS["removal"]["strength"]
