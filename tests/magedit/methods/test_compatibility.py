"""What goes together, and what a comparison leaves out."""

from __future__ import annotations

import re
from typing import Any

import pytest

from magedit.card import STABLE_DIFFUSION, Trait
from magedit.config import EditConfig
from magedit.errors import InvalidEdit, NotTogether
from magedit.methods.compatibility import check_suited, check_together, for_method
from magedit.methods.registry import METHODS


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"method": "blended-latent", "inversion": "null-text"}, "inversion"),
        ({"method": "p2p", "injection": "pnp"}, "injection"),
        ({"method": "pnp", "equalizer": {"red": 2.0}}, "equalizer"),
        ({"method": "pnp", "local_blend": 0.3}, "local_blend"),
        ({"injection": "pnp", "local_blend": 0.3}, "local_blend"),
        ({"method": "pnp", "skip_fraction": 0.5}, "skip_fraction"),
        ({"method": "p2p", "sweep": (0.5, 1.0)}, "sweep"),
        ({"method": "diffedit", "inversion": "style"}, "inversion"),
        ({"method": "diffedit", "inversion": "virtual"}, "inversion"),
        ({"inversion": "virtual", "eta": 0.5}, "eta"),
        ({"method": "blended-latent", "mask_source": "own"}, "mask_source"),
    ],
)
def test_incompatible_choices_are_rejected_by_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(NotTogether) as caught:
        check_together(EditConfig(**change))
    assert caught.value.field == field


def test_a_comparison_drops_parameters_that_a_method_does_not_use() -> None:
    config = EditConfig(inversion="null-text", local_blend=0.3, skip_fraction=0.4, guidance_step_size=2.0)
    guided, blended = for_method(config, "mag-edit"), for_method(config, "blended-latent")
    assert (guided.local_blend, guided.skip_fraction, guided.inversion) == (0.3, 0.4, "null-text")
    assert for_method(config, "pnp").skip_fraction is None
    assert (blended.local_blend, blended.skip_fraction, blended.inversion) == (None, 0.4, "direct")
    assert guided.guidance_step_size == blended.guidance_step_size == 2.0
    for each in (guided, blended):
        check_together(each)


def test_parameters_of_other_methods_are_accepted() -> None:
    for name in METHODS:
        check_together(EditConfig(method=name, constraint="spatial", guidance_step_size=3.0, blend_fraction=0.1))


@pytest.mark.parametrize(
    ("config", "trait", "reason"),
    [
        (EditConfig(method="pnp"), "joint-attention", "model 'm' does not support method 'pnp': it injects into"),
        (EditConfig(inversion="style"), "joint-attention", "model 'm' does not support inversion 'style'"),
        (EditConfig(inversion="null-text"), "embedded-guidance", "model 'm' does not support inversion 'null-text'"),
        (EditConfig(negative_prompt="red"), "embedded-guidance", "model 'm' does not support negative_prompt"),
    ],
)
def test_unsupported_choices_are_rejected_with_the_reason(config: EditConfig, trait: Trait, reason: str) -> None:
    check_suited(config, STABLE_DIFFUSION, "m")
    with pytest.raises(InvalidEdit, match=re.escape(reason)):
        check_suited(config, (trait,), "m")


def test_the_denominator_requires_joint_attention() -> None:
    check_suited(EditConfig(denominator="joint"), ("flow", "joint-attention"), "m")
    with pytest.raises(NotTogether, match="model 'm' does not support denominator: its layers attend to the prompt"):
        check_suited(EditConfig(denominator="joint"), STABLE_DIFFUSION, "m")
