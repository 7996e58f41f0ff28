"""An inversion knows what it can be used for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from magedit.config import EditConfig
from magedit.errors import UnknownMethod
from magedit.inversion.base import Inverted
from magedit.pipelines.output import Inversion

BOX, SIZE, PROMPT = (0, 0, 64, 64), (64, 64), "a sofa"


def made(config: EditConfig) -> Inversion:
    return Inversion(Inverted((), (), exact=True), BOX, SIZE, PROMPT, config)


def test_an_output_without_inversion_does_not_fit_methods_that_invert() -> None:
    blended = EditConfig(method="blended-latent")
    made(EditConfig(inversion="ddim", steps=7)).require_fit(BOX, SIZE, PROMPT, blended)
    with pytest.raises(UnknownMethod, match="does not invert"):
        made(blended).require_fit(BOX, SIZE, PROMPT, EditConfig())


@pytest.mark.parametrize(
    ("box", "size", "prompt", "change", "named"),
    [
        ((0, 0, 32, 32), SIZE, PROMPT, {}, "working crop"),
        (BOX, (64, 32), PROMPT, {}, "image size"),
        (BOX, SIZE, "a lamp", {}, "source prompt"),
        (BOX, SIZE, PROMPT, {"steps": 20}, "steps 50, but the edit has 20"),
        (BOX, SIZE, PROMPT, {"inversion": "ddim"}, "inversion 'null-text'"),
        (BOX, SIZE, PROMPT, {"guidance_scale": 3.0}, "guidance_scale 7.5"),
        (BOX, SIZE, PROMPT, {"null_text_iterations": 3}, "null_text_iterations 10"),
    ],
)
def test_a_mismatch_is_named(
    box: tuple[int, int, int, int], size: tuple[int, int], prompt: str, change: dict[str, object], named: str
) -> None:
    config = EditConfig(inversion="null-text")
    with pytest.raises(UnknownMethod, match=named) as caught:
        made(config).require_fit(box, size, prompt, replace(config, **change))  # type: ignore[arg-type]
    assert caught.value.field == "inversion"


def test_parameters_that_the_inversion_ignores_may_differ() -> None:
    asked = EditConfig(guidance_scale=3.0, method="p2p", max_iterations=3)
    made(EditConfig()).require_fit(BOX, SIZE, PROMPT, asked)
