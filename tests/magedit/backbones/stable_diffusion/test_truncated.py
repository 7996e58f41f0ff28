"""A pass that ends with the last map: the numbers are the whole pass's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from magedit.backbones.base import Conditioning, frozen, sites_at
from magedit.backbones.denoiser import Denoiser
from magedit.backbones.stable_diffusion.attention import capturing, find_sites
from magedit.backbones.stable_diffusion.truncated import attend_until
from magedit.measures.meter import Meter
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import CHECKPOINT, hook_calls


def inputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(1, 4, 32, 32, generator=generator), torch.randn(1, 77, 32, generator=generator)


def test_a_truncated_pass_matches_the_full_passes_maps_at_every_layer(pipe: MAGEditPipeline) -> None:
    layers = find_sites(pipe.unet, pipe.latent_side)
    sample, states = inputs()
    prompt = Conditioning(states)
    denoiser = Denoiser(pipe.backbone, pipe.process(10), Meter({}))
    with torch.no_grad():
        with capturing(pipe.unet, layers) as whole:
            denoiser.predict(sample, 481, prompt)
        for index, last in enumerate(layers):
            with capturing(pipe.unet, layers) as maps:
                denoiser.attend(sample, 481, prompt, last)
            assert set(maps) == {layer.name for layer in layers[: index + 1]}
            assert all(torch.equal(kept, whole[name]) for name, kept in maps.items())
    assert denoiser.meter.truncated == len(layers)


def test_the_gradient_of_a_truncated_pass_is_the_whole_passes(pipe: MAGEditPipeline) -> None:
    layers = find_sites(pipe.unet, pipe.latent_side)
    read = sites_at(layers, 8)
    sample, states = inputs()
    prompt = Conditioning(states)
    denoiser = Denoiser(pipe.backbone, pipe.process(10), Meter({}))
    gradients = []
    for whole in (True, False):
        latent = sample.clone().requires_grad_(True)
        with torch.enable_grad(), frozen(pipe.unet), capturing(pipe.unet, read) as maps:
            if whole:
                denoiser.predict(latent, 481, prompt)
            else:
                denoiser.attend(latent, 481, prompt, read[-1])
            (gradient,) = torch.autograd.grad(torch.stack([m.square().sum() for m in maps.values()]).sum(), latent)
        gradients.append(gradient)
    assert gradients[0].abs().max() > 0
    assert torch.equal(*gradients)


def test_the_gradient_reaches_the_latent_and_no_weight(pipe: MAGEditPipeline) -> None:
    layers = find_sites(pipe.unet, pipe.latent_side)
    last = [layer for layer in layers if layer.kind == "cross" and layer.side == 8][-1]
    latent, states = inputs()
    prompt = Conditioning(states)
    latent.requires_grad_(True)
    with torch.enable_grad(), frozen(pipe.unet), capturing(pipe.unet, [last]) as maps:
        Denoiser(pipe.backbone, pipe.process(10), Meter({})).attend(latent, 481, prompt, last)
        maps[last.name].square().sum().backward()  # type: ignore[no-untyped-call]
    assert latent.grad is not None
    assert latent.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in pipe.unet.parameters())


@pytest.mark.parametrize(
    "layout",
    [
        {"use_linear_projection": True},
        {"transformer_layers_per_block": 2},
        {"center_input_sample": True},
        {
            "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        },
    ],
    ids=["SD 2.x projections", "two transformer layers", "centred input", "blocks without attention"],
)
def test_other_layouts(layout: dict[str, Any]) -> None:
    torch.manual_seed(0)
    options = {
        "block_out_channels": (8, 16),
        "down_block_types": ("CrossAttnDownBlock2D",) * 2,
        "up_block_types": ("CrossAttnUpBlock2D",) * 2,
        "norm_num_groups": 4,
        "attention_head_dim": 2,
        "cross_attention_dim": 12,
        "layers_per_block": 2,
        "sample_size": 8,
    }
    unet = UNet2DConditionModel(**(options | layout)).eval()
    layers = find_sites(unet, 8)
    sample, embedding = torch.randn(2, 4, 8, 8), torch.randn(2, 5, 12)
    with torch.no_grad():
        with capturing(unet, layers) as whole:
            unet(sample, 321, embedding)
        for index, last in enumerate(layers):
            with capturing(unet, layers) as maps:
                attend_until(unet, sample, 321, embedding, last.name)
            assert set(maps) == {layer.name for layer in layers[: index + 1]}
            assert all(torch.equal(kept, whole[name]) for name, kept in maps.items())


def test_checkpointed_passes_have_the_same_gradient_and_keep_less() -> None:
    unet = MAGEditPipeline.from_pretrained(CHECKPOINT).unet
    read = sites_at(find_sites(unet, 32), 8)
    sample, embedding = inputs()
    kept, gradients = [], []
    for again in (False, True):
        if again:
            unet.enable_gradient_checkpointing()
        latent = sample.clone().requires_grad_(True)
        sizes: list[int] = []

        def pack(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.enable_grad(), frozen(unet), capturing(unet, read) as maps:
            with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
                attend_until(unet, latent, 481, embedding, read[-1].name)
                loss = torch.stack([m.square().sum() for m in maps.values()]).sum()
            (gradient,) = torch.autograd.grad(loss, latent)
        gradients.append(gradient)
        kept.append(sum(sizes))
    assert torch.equal(*gradients)
    assert kept[1] < kept[0] / 2


def test_an_unknown_layer_is_refused(pipe: MAGEditPipeline) -> None:
    sample, embedding = inputs()
    with pytest.raises(ValueError, match=r"conv_in.*find_sites"):
        attend_until(pipe.unet, sample, 1, embedding, "conv_in")


def test_a_truncated_pass_runs_the_hook_that_moves_an_offloaded_unet(pipe: MAGEditPipeline) -> None:
    last = sites_at(find_sites(pipe.unet, pipe.latent_side), 8)[-1]
    sample, states = inputs()
    with hook_calls(pipe.unet) as calls, torch.no_grad():
        Denoiser(pipe.backbone, pipe.process(10), Meter({})).attend(sample, 1, Conditioning(states), last)
    assert calls == ["UNet2DConditionModel"]
