"""Resolution of requests against checkpoints."""

from __future__ import annotations

from typing import Any

import pytest

from magedit.config import PRESETS, EditConfig
from magedit.edits.asked import OPEN, read_asked
from magedit.edits.checkpoint import StepSizes
from magedit.edits.resolution import Limits
from magedit.edits.resolve import resolve
from magedit.errors import (
    InvalidEdit,
    InvalidParameter,
    NotTogether,
    RegionMismatch,
    UnknownMethod,
    WordNotFound,
)
from magedit.inversion.registry import INVERSIONS
from magedit.methods.registry import METHODS
from magedit.prompts.alignment import from_tokenizers
from magedit.prompts.kinds import KINDS
from tests.magedit.edits.conftest import INSTRUCTED, PROMPTS, refused, resolved
from tests.service.conftest import model_info, tokenizer_json


def test_a_valid_request_is_resolved() -> None:
    edit = resolved(steps=7).edit()
    assert edit.schema_version == 1
    assert (edit.kind, edit.config) == ("attribute", EditConfig(steps=7, **KINDS["attribute"]))
    assert [region.words for region in edit.regions] == [("purple carpet",)]
    assert edit.compare == ()


def test_an_invalid_request_is_rejected_by_field() -> None:
    refused(WordNotFound, "words", words=["zebra"])
    refused(UnknownMethod, "inversion", inversion="ddim")
    refused(UnknownMethod, "method", method="sine", info={})
    refused(NotTogether, "local_blend", method="pnp", local_blend=0.3)
    refused(NotTogether, "method", method="p2p", compare=["p2p", "pnp"])
    refused(WordNotFound, "equalizer", equalizer={"zebra": 2})


def test_an_unknown_lora_is_rejected() -> None:
    info = {"methods": tuple(METHODS), "loras": ("style", "line")}
    assert resolved(info=info, lora=["style:0.8", "line"]).edit().config.lora == ("style:0.8", "line")
    refused(InvalidParameter, "lora", info=info, lora=["lost"])
    refused(InvalidParameter, "lora", lora=["style"])
    refused(NotTogether, "lora", info=INSTRUCTED | {"loras": ("style",)}, source_prompt=None, lora=["style"])


def test_clip_skip_is_limited_by_the_models_layers() -> None:
    info = {"methods": tuple(METHODS), "max_clip_skip": 1}
    assert resolved(info=info, clip_skip=1).edit().config.clip_skip == 1
    refused(InvalidParameter, "clip_skip", info=info, clip_skip=2)
    refused(InvalidParameter, "clip_skip", clip_skip=1)
    refused(NotTogether, "clip_skip", info=INSTRUCTED | {"max_clip_skip": 1}, source_prompt=None, clip_skip=1)


def test_methods_that_read_the_source_prompt_require_it() -> None:
    edit = resolved(method="blended-latent", source_prompt=None).edit()
    assert edit.source_prompt == edit.target_prompt
    refused(InvalidParameter, "source_prompt", method="p2p", source_prompt=None)


def test_a_known_caption_replaces_the_missing_source_prompt() -> None:
    checkpoint = model_info().as_checkpoint(from_tokenizers(tokenizer_json()))
    asked = read_asked({"target_prompt": PROMPTS["target_prompt"]})
    assert (
        resolve(asked, checkpoint, shows="a room with a green carpet").edit().source_prompt == PROMPTS["source_prompt"]
    )


def test_a_checkpoint_without_the_default_method_uses_its_first() -> None:
    instruction: dict[str, Any] = {"source_prompt": None, "target_prompt": "make the carpet green", "info": INSTRUCTED}
    assert resolved(**instruction, steps=9).edit().config == EditConfig(method="instruct-pix2pix", steps=9)
    with pytest.raises(UnknownMethod, match="has no method 'mag-edit'"):
        resolved(**instruction, method="mag-edit").edit()


def test_a_rejected_substitute_prompt_is_reported_at_its_own_field() -> None:
    with pytest.raises(InvalidEdit) as caught:
        resolved(method="blended-latent", source_prompt=None, target_prompt="a room with a zebra").edit()
    assert caught.value.field == "target_prompt"


def test_every_compared_method_is_checked() -> None:
    edit = resolved(compare=["pnp", "diffedit"], skip_fraction=0.4).edit()
    assert [config.method for config in edit.configs] == ["pnp", "diffedit"]
    assert [config.skip_fraction for config in edit.configs] == [None, 0.4]
    assert edit.results == 2
    with pytest.raises(NotTogether, match="none of pnp, sine"):
        resolved(compare=["pnp", "sine"], skip_fraction=0.4).edit()
    refused(InvalidParameter, "compare", compare=["p2p", "p2p"])
    refused(InvalidParameter, "compare", compare=["p2p", "pnp", "diffedit"], limits=Limits(results=2, regions=1))


@pytest.mark.parametrize(
    ("data", "field"),
    [({"n": 3}, "n"), ({"sweep": [0, 0.5, 1]}, "sweep"), ({"n": 2, "sweep": [0, 1]}, "n")],
)
def test_the_number_of_results_is_limited(data: dict[str, Any], field: str) -> None:
    limits = Limits(results=2, regions=1)
    assert resolved(limits=limits, n=2).edit().results == 2
    refused(InvalidParameter, field, limits=limits, **data)


def test_masks_and_regions_must_pair_up() -> None:
    refused(RegionMismatch, "mask", masks=3, limits=Limits(results=8, regions=2))
    refused(RegionMismatch, "regions", masks=2, words=["purple"])
    refused(RegionMismatch, "regions", masks=2, regions=[{"words": ["purple"]}])
    refused(RegionMismatch, "words", words=["purple"], regions=[{"words": ["purple"]}])
    assert len(resolved(masks=None, regions=[{"words": ["purple"]}, {}]).edit().regions) == 2


def test_the_kind_follows_from_the_prompts_and_given_values_win() -> None:
    bare: dict[str, Any] = {"source_prompt": "a room with a purple carpet", "target_prompt": "a room"}
    removal = resolved(**bare, words=["room"]).edit()
    assert removal.kind == "removal"
    assert removal.config.negative_prompt == "a purple carpet"
    assert resolved(**bare, words=["room"], negative_prompt="a carpet").edit().config.negative_prompt == "a carpet"
    assert resolved(kind="replacement").edit().config == EditConfig(**KINDS["replacement"])
    every = {"methods": tuple(METHODS), "inversions": tuple(INVERSIONS)}
    assert resolved(preset="exact", info=every).edit().config == EditConfig(**PRESETS["exact"])


def test_a_removal_without_filling_is_not_guided() -> None:
    bare: dict[str, Any] = {"source_prompt": "a green carpet, a purple carpet", "target_prompt": "a green carpet"}
    edit = resolved(**bare).edit()
    assert (edit.kind, edit.config.strength, edit.regions[0].words) == ("removal", 0.0, ())
    assert resolved(**bare, words=["carpet"]).edit().config.strength == KINDS["removal"]["strength"]


def test_prompt_weights_become_equalizer_factors() -> None:
    edit = resolved(target_prompt="a room with a (purple:1.5) carpet", prompt_syntax="a1111").edit()
    assert (edit.target_prompt, edit.config.equalizer) == (PROMPTS["target_prompt"], {"purple": 1.5})


def test_every_parameter_names_its_source() -> None:
    found = resolved(preset="fast", steps=20, eta=0.25, info={"step_sizes": StepSizes(token=4.0)})
    wanted = {
        "method": "default",
        "steps": "given",
        "eta": "given",
        "max_iterations": "preset",
        "gradient_tolerance": "preset",
        "self_replace": "kind",
        "blend_fraction": "kind",
        "guidance_step_size": "checkpoint",
        "guidance_scale": "default",
    }
    assert {name: found.parameters[name].origin for name in wanted} == wanted
    assert found.parameters["guidance_step_size"].value == 4.0
    diffedit = resolved(method="diffedit").parameters
    assert (diffedit["skip_fraction"].value, diffedit["skip_fraction"].origin) == (0.5, "method")
    assert "strength" not in diffedit
    own = resolved(source_prompt=None, target_prompt="make it green", info=INSTRUCTED).parameters["method"]
    assert (own.value, own.origin) == ("instruct-pix2pix", "checkpoint")
    compared = resolved(compare=["p2p", "diffedit"]).parameters
    assert (compared["method"].value, compared["method"].origin) == ("p2p", "given")


def test_open_parameters_are_those_of_presets_kinds_and_the_method() -> None:
    governed = {name for preset in PRESETS.values() for name in preset} | {n for kind in KINDS.values() for n in kind}
    assert governed | {"negative_prompt", "method"} == OPEN


@pytest.mark.parametrize("target", ["()", "[ ]", "(:1.2)"])
def test_weights_without_words_are_rejected(target: str) -> None:
    refused(InvalidParameter, "target_prompt", target_prompt=target, prompt_syntax="a1111")
