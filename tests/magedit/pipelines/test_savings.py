"""What is left out changes nothing: each saving against the edit without it, as the largest difference in latents."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor
from PIL import Image
from torch import Tensor

import magedit.pipelines.mag_edit
from magedit.backbones.base import Conditioning
from magedit.backbones.denoiser import Denoiser
from magedit.backbones.stable_diffusion import attention
from magedit.config import EditConfig
from magedit.errors import NotTogether
from magedit.methods.injection import Injection
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.pipelines.output import Inversion
from tests.magedit.conftest import VECTORS, Room, load_pipeline

CONFIG = EditConfig.preset("exact", steps=2, max_iterations=2, null_text_iterations=1, guidance_step_size=20.0)


@pytest.fixture(scope="module")
def own() -> MAGEditPipeline:
    """A pipeline to take savings out of."""
    return load_pipeline()


@pytest.fixture(scope="module")
def edit() -> Room:
    image = Image.open(VECTORS / "inputs" / "room.png").convert("RGB")
    mask = Image.new("L", image.size)
    mask.paste(255, (60, 140, 150, 200))
    return Room(image, mask)


@pytest.fixture(scope="module")
def inversion(own: MAGEditPipeline, edit: Room) -> Inversion:
    return own.invert(edit.image, [edit.mask], edit.source, config=CONFIG)


@pytest.fixture(scope="module")
def saved(own: MAGEditPipeline, edit: Room, inversion: Inversion) -> Tensor:
    """The edit as it is."""
    return latents(own, edit, inversion)


def latents(pipe: MAGEditPipeline, room: Room, inversion: Inversion, config: EditConfig = CONFIG) -> Tensor:
    edited = pipe(
        room.image, [room.mask], room.source, room.target, (), config, inversion=inversion, output_type="latent"
    )
    assert isinstance(edited.images, Tensor)
    return edited.images


def passed_again(patch: pytest.MonkeyPatch) -> None:
    # The package exports the function of the same name.
    module = sys.modules["magedit.methods.p2p.loop"]
    once = module._pass_source

    def thrice(*args: Any) -> Any:
        return [once(*args) for _ in range(3)][-1]

    patch.setattr(module, "_pass_source", thrice)


def whole_passes(patch: pytest.MonkeyPatch) -> None:
    def attend(self: Denoiser, latent: Tensor, timestep: float, prompt: Conditioning, _last: object) -> None:
        self.predict(latent, timestep, prompt)

    patch.setattr(Denoiser, "attend", attend)


def weights_with_gradients(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(magedit.pipelines.mag_edit, "frozen", nullcontext)


def formed_maps(patch: pytest.MonkeyPatch) -> None:
    """Queries, keys and softmax also where the map is replaced; replaced and multiplied with the values as a map."""

    def call(self: Any, attn: Any, hidden: Tensor, encoder_hidden_states: Tensor | None = None, **_: Any) -> Tensor:
        context = hidden if encoder_hidden_states is None else encoder_hidden_states
        split = attention._split
        query, key, value = (split(attn, each) for each in (attn.to_q(hidden), attn.to_k(context), attn.to_v(context)))
        maps = (query @ key.transpose(-1, -2) * attn.scale).softmax(-1)
        last = maps[-1]
        if self.edit.self_map is not None:
            last = self.edit.self_map
        elif self.edit.base is not None:
            last = self.edit.base if self.edit.share is None else self.edit.base + self.edit.share * last
        if self.edit.read:
            self.kept[0][self.name] = last
        out: Tensor = attention._out(attn, torch.cat([maps[:-1], last[None]]) @ value)
        return out

    patch.setattr(attention._Processor, "__call__", call)


def no_fused_attention(patch: pytest.MonkeyPatch) -> None:
    def formed(attn: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        out: Tensor = (query @ key.transpose(-1, -2) * attn.scale).softmax(-1) @ value
        return out

    patch.setattr(attention, "_fused", formed)


def prompt_again(patch: pytest.MonkeyPatch) -> None:
    """Keys, values and what an injected map makes of them anew in each pass."""
    patch.setattr(
        attention._Processor,
        "_once",
        lambda _self, _what, _hidden, _context, make: make(),
    )


def spread_by_a_product(patch: pytest.MonkeyPatch) -> None:
    def spread(self: Injection, source: Tensor) -> Tensor:
        matrix = torch.zeros(source.shape[-1], len(self.mapping))
        matrix[self.mapping, torch.arange(len(self.mapping))] = 1.0
        return source @ matrix

    patch.setattr(Injection, "_spread", spread)


def halves_apart(patch: pytest.MonkeyPatch) -> None:
    def halves(task: Any, i: int, t: float, latent: Tensor, prompt: Conditioning, _negative: Any = None) -> Any:
        # The conditional half is the last row of its batch in either case.
        both = Conditioning.cat([task.inverted.unconditional[i], prompt])
        unconditional = task.denoiser.predict(torch.cat([latent, latent]), t, both)[:1]
        return unconditional, task.denoiser.predict(latent, t, prompt)

    for module in ("magedit.methods.sampling", "magedit.methods.p2p.loop"):
        patch.setattr(sys.modules[module], "halves", halves)


ROUNDING = 5e-4
"""Of latents with values up to 3, after two coarse steps of a random checkpoint; measured: at most 1.7e-4."""

SAVINGS: list[tuple[Callable[[pytest.MonkeyPatch], None], float]] = [
    (passed_again, 0.0),
    (whole_passes, 0.0),
    (weights_with_gradients, 0.0),
    (spread_by_a_product, 0.0),
    (prompt_again, ROUNDING),
    (formed_maps, ROUNDING),
    (no_fused_attention, ROUNDING),
    (halves_apart, ROUNDING),
]
"""What takes a saving out, and the largest difference that this may make."""


@pytest.mark.parametrize(("take_out", "largest"), SAVINGS, ids=[take_out.__name__ for take_out, _ in SAVINGS])
def test_a_saving_changes_nothing(
    own: MAGEditPipeline,
    edit: Room,
    inversion: Inversion,
    saved: Tensor,
    monkeypatch: pytest.MonkeyPatch,
    take_out: Callable[[pytest.MonkeyPatch], None],
    largest: float,
) -> None:
    if take_out is no_fused_attention:
        own.unet.set_attn_processor(AttnProcessor())
    take_out(monkeypatch)
    assert float((latents(own, edit, inversion) - saved).abs().max()) <= largest


def test_the_source_that_null_text_inversion_sampled_is_not_sampled_again(
    own: MAGEditPipeline, edit: Room, inversion: Inversion, saved: Tensor
) -> None:
    assert [len(each) for each in (inversion.inverted.sampled, inversion.inverted.latents)] == [3, 3]
    again = replace(inversion, inverted=replace(inversion.inverted, sampled=()))
    assert float((latents(own, edit, again) - saved).abs().max()) <= ROUNDING
    # It is not the trajectory.
    other = replace(inversion, inverted=replace(inversion.inverted, sampled=inversion.inverted.latents))
    assert float((latents(own, edit, other) - saved).abs().max()) > 1e-3


def test_guidance_moves_latents_further_than_any_of_these(
    own: MAGEditPipeline, edit: Room, inversion: Inversion, saved: Tensor
) -> None:
    unguided = latents(own, edit, inversion, replace(CONFIG, method="p2p"))
    assert float((unguided - saved).abs().max()) > 1e-2


def test_null_text_inversion_refuses_half_precision(room: Room) -> None:
    half = load_pipeline(dtype=torch.bfloat16)
    with pytest.raises(NotTogether, match=r"float32.*MAGEDIT_DTYPE") as refused:
        half.invert(room.image, [room.mask], room.source, config=CONFIG)
    assert refused.value.field == "inversion"
