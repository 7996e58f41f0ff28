"""What precedes the first cross attention is computed once, where passes differ in the embedding alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from magedit.backbones.stable_diffusion.backbone import StableDiffusion
from magedit.backbones.stable_diffusion.prefix_cache import one_prefix
from magedit.config import EditConfig
from magedit.config.types import InversionName
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import Room

CONFIG = EditConfig(steps=2, null_text_iterations=3, style_iterations=3)


@contextmanager
def counting(module: Any) -> Iterator[list[int]]:
    """How often ``module`` computes inside, by a forward of the instance as hooks have it."""
    calls: list[int] = []
    forward = module.forward

    def counted(*inputs: Any, **options: Any) -> Any:
        calls.append(1)
        return forward(*inputs, **options)

    module.forward = counted
    try:
        yield calls
        assert module.forward is counted
    finally:
        del module.forward


@pytest.mark.parametrize("inversion", ["null-text", "style"])
def test_an_optimised_inversion_is_the_same_to_the_bit(
    pipe: MAGEditPipeline, room: Room, monkeypatch: pytest.MonkeyPatch, inversion: InversionName
) -> None:
    config = replace(CONFIG, inversion=inversion)

    def invert() -> Any:
        return pipe.invert(room.image, [room.mask], room.source, config=config).inverted

    with counting(pipe.unet.conv_in) as calls:
        once = invert()
    monkeypatch.setattr(StableDiffusion, "one_prefix", lambda _self: nullcontext())
    with counting(pipe.unet.conv_in) as anew:
        every = invert()

    def told(inverted: Any) -> Any:
        return *(each.hidden_states for each in inverted.unconditional), *inverted.values, *inverted.sampled

    for one, other in zip(told(once), told(every), strict=True):
        assert torch.equal(one, other)
    # A step's pass of the other half, its 3 updates and its last pass are one.
    assert len(anew) - len(calls) == config.steps * 4


def test_whole_passes_of_other_embeddings_are_the_same(pipe: MAGEditPipeline) -> None:
    unet = pipe.unet
    latent = torch.randn(1, 4, pipe.latent_side, pipe.latent_side, generator=torch.Generator().manual_seed(0))
    prompts = [pipe.encode(prompt).hidden_states for prompt in ("a room", "a red sofa", "")]
    with torch.no_grad():
        wanted = [unet(latent, 500, each).sample for each in prompts]
        with one_prefix(unet):
            found = [unet(latent, 500, each).sample for each in prompts]
        assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))
        assert not torch.equal(found[0], found[1])
        # Outside the context other latents are other passes again.
        assert not torch.equal(unet(2 * latent, 500, prompts[0]).sample, wanted[0])


def test_it_ends_with_an_error_too(pipe: MAGEditPipeline) -> None:
    def own_forwards() -> list[bool]:
        return ["forward" in module.__dict__ for module in pipe.unet.modules()]

    before = own_forwards()
    with one_prefix(pipe.unet):
        assert sum(own_forwards()) == sum(before) + 7
    with pytest.raises(KeyboardInterrupt), one_prefix(pipe.unet):
        raise KeyboardInterrupt
    assert own_forwards() == before


def test_blocks_without_cross_attention_belong_to_it() -> None:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=8,
        attention_head_dim=2,
        norm_num_groups=4,
    ).eval()
    latent, prompts = torch.randn(1, 4, 8, 8), [torch.randn(1, 5, 8) for _ in range(2)]
    with torch.no_grad():
        wanted = [unet(latent, 9, each).sample for each in prompts]
        with counting(unet.down_blocks[0].resnets[0]) as calls, one_prefix(unet):
            found = [unet(latent, 9, each).sample for each in prompts]
    assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))
    assert len(calls) == 1
