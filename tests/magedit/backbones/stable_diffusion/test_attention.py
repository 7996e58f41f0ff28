"""Which layers there are; injecting and reading maps; the UNet is left as it was."""

from __future__ import annotations

import copy

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from magedit.backbones.base import AttentionEdit, AttentionSite, FeatureEdit, ModuleEdit, sites_at
from magedit.backbones.stable_diffusion.attention import capturing, editing, find_sites, own_attention
from magedit.errors import CheckpointError
from magedit.pipelines.mag_edit import MAGEditPipeline


@pytest.fixture
def layers(pipe: MAGEditPipeline) -> tuple[AttentionSite, ...]:
    return find_sites(pipe.unet, pipe.latent_side)


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(2, 4, 32, 32, generator=generator), torch.randn(2, 77, 32, generator=generator)


def noise(pipe: MAGEditPipeline, inputs: tuple[Tensor, Tensor]) -> Tensor:
    with torch.no_grad():
        out: Tensor = pipe.unet(inputs[0], 501, inputs[1]).sample
    return out


def test_layers_are_found_with_their_resolution_in_execution_order(
    pipe: MAGEditPipeline, layers: tuple[AttentionSite, ...], inputs: tuple[Tensor, Tensor]
) -> None:
    order: list[tuple[str, int]] = []
    hooks = [
        pipe.unet.get_submodule(layer.name).register_forward_hook(
            lambda _module, _args, _kwargs, out, name=layer.name: order.append((name, out.shape[1])), with_kwargs=True
        )
        for layer in layers
    ]
    noise(pipe, inputs)
    for hook in hooks:
        hook.remove()
    assert order == [(layer.name, layer.positions) for layer in layers]


def test_guidance_reads_the_five_layers_at_a_quarter_of_the_latent(layers: tuple[AttentionSite, ...]) -> None:
    chosen = sites_at(layers, 8)
    assert [layer.name.split(".attn")[0] for layer in chosen] == [
        "down_blocks.2.attentions.0.transformer_blocks.0",
        "down_blocks.2.attentions.1.transformer_blocks.0",
        "up_blocks.1.attentions.0.transformer_blocks.0",
        "up_blocks.1.attentions.1.transformer_blocks.0",
        "up_blocks.1.attentions.2.transformer_blocks.0",
    ]


def test_reading_changes_nothing(
    pipe: MAGEditPipeline, layers: tuple[AttentionSite, ...], inputs: tuple[Tensor, Tensor]
) -> None:
    plain = noise(pipe, inputs)
    with capturing(pipe.unet, layers) as maps:
        read = noise(pipe, inputs)
    torch.testing.assert_close(read, plain, rtol=1e-4, atol=1e-5)
    for layer in layers:
        keys = 77 if layer.kind == "cross" else layer.positions
        assert maps[layer.name].shape == (2, layer.positions, keys)
        torch.testing.assert_close(maps[layer.name].sum(-1), torch.ones(2, layer.positions))


def test_own_attention_is_identical_and_caches_a_prompts_keys(
    pipe: MAGEditPipeline, layers: tuple[AttentionSite, ...], inputs: tuple[Tensor, Tensor]
) -> None:
    plain, before = noise(pipe, inputs), pipe.unet.attn_processors
    made = []
    cross = [layer for layer in layers if layer.kind == "cross"]
    hooks = [
        pipe.unet.get_submodule(layer.name).to_k.register_forward_hook(lambda *_: made.append(1)) for layer in cross
    ]
    with own_attention(pipe.unet):
        torch.testing.assert_close(noise(pipe, inputs), plain, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(noise(pipe, inputs), plain, rtol=1e-5, atol=1e-6)
        other = noise(pipe, (inputs[0], inputs[1] + 1))
    for hook in hooks:
        hook.remove()
    assert len(made) == 2 * len(cross)
    torch.testing.assert_close(other, noise(pipe, (inputs[0], inputs[1] + 1)), rtol=1e-5, atol=1e-6)
    assert pipe.unet.attn_processors == before


def test_own_attention_ignores_other_processors(pipe: MAGEditPipeline, layers: tuple[AttentionSite, ...]) -> None:
    module, mine = pipe.unet.get_submodule(layers[0].name), AttnProcessor()
    before, module.processor = module.processor, mine
    with own_attention(pipe.unet):
        assert module.processor is mine
    module.processor = before


@pytest.mark.parametrize("formed", [True, False])
def test_injecting_the_rows_own_maps_changes_nothing(
    pipe: MAGEditPipeline, layers: tuple[AttentionSite, ...], inputs: tuple[Tensor, Tensor], formed: bool
) -> None:
    plain = noise(pipe, inputs)
    with capturing(pipe.unet, layers) as maps:
        noise(pipe, inputs)
    edits = {
        layer.name: AttentionEdit(base=maps[layer.name], share=torch.zeros(77) if formed else None)
        if layer.kind == "cross"
        else AttentionEdit(self_map=maps[layer.name])
        for layer in layers
    }
    with editing(pipe.unet, edits):
        torch.testing.assert_close(noise(pipe, inputs), plain, rtol=1e-4, atol=1e-5)


def test_a_mixed_map_is_the_same_whether_it_is_formed_or_not(
    pipe: MAGEditPipeline, layers: tuple[AttentionSite, ...], inputs: tuple[Tensor, Tensor]
) -> None:
    generator = torch.Generator().manual_seed(3)
    share = torch.rand(77, generator=generator)
    results = []
    for read in (True, False):
        edits = {
            layer.name: AttentionEdit(base=torch.full((2, layer.positions, 77), 0.004), share=share, read=read)
            for layer in layers
            if layer.kind == "cross"
        }
        with editing(pipe.unet, edits) as (maps,):
            results.append(noise(pipe, inputs))
        assert set(maps) == (set(edits) if read else set())
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-5)


def test_only_the_last_row_is_injected(
    pipe: MAGEditPipeline, layers: tuple[AttentionSite, ...], inputs: tuple[Tensor, Tensor]
) -> None:
    plain = noise(pipe, inputs)
    edits = {
        layer.name: AttentionEdit(self_map=torch.eye(layer.positions).expand(2, -1, -1))
        for layer in layers
        if layer.kind == "self"
    }
    with editing(pipe.unet, edits):
        injected = noise(pipe, inputs)
    torch.testing.assert_close(injected[0], plain[0], rtol=1e-4, atol=1e-5)
    assert (injected[1] - plain[1]).abs().max() > 1e-3


def edits_of(layers: tuple[AttentionSite, ...], kind: str) -> dict[str, ModuleEdit]:
    """Edits of one kind for the layers that can have it; maps are read where that goes together."""
    generator = torch.Generator().manual_seed(4)
    cross = [layer for layer in layers if layer.kind == "cross"]
    own = [layer for layer in layers if layer.kind == "self" and layer.side <= 16]
    if kind == "self_map":
        return {one.name: AttentionEdit(self_map=torch.rand(2, one.positions, one.positions), read=True) for one in own}
    if kind == "read_pair":
        return {one.name: AttentionEdit(read_pair=True) for one in own}
    if kind == "feature":
        return {"up_blocks.1.resnets.1.conv2": FeatureEdit()}
    if kind == "values":
        values = torch.randn(1, 77, 32, generator=generator)
        return {one.name: AttentionEdit(values=values, read=True) for one in cross}
    share = torch.rand(77, generator=generator) if kind != "base" else None
    base = torch.rand(2, 1, 77, generator=generator) / 77
    return {
        one.name: AttentionEdit(base=base.expand(-1, one.positions, -1), share=share, read=kind != "mixed")
        for one in cross
    }


@pytest.mark.parametrize("kind", ["self_map", "base", "mixed", "mixed and read", "values", "read_pair", "feature"])
def test_each_conditional_row_is_edited_as_if_alone(
    pipe: MAGEditPipeline, layers: tuple[AttentionSite, ...], kind: str
) -> None:
    generator = torch.Generator().manual_seed(8)
    latents = torch.randn(3, 4, 32, 32, generator=generator)
    prompts = torch.randn(2, 77, 32, generator=generator)
    edits = edits_of(layers, kind)
    with editing(pipe.unet, edits, 3) as rows:
        together = noise(pipe, (latents.repeat(2, 1, 1, 1), prompts.repeat_interleave(3, 0)))
    for n, row in enumerate(rows):
        with editing(pipe.unet, edits) as (maps,):
            alone = noise(pipe, (latents[n : n + 1].repeat(2, 1, 1, 1), prompts))
        torch.testing.assert_close(together[[n, n + 3]], alone, rtol=1e-4, atol=1e-4)
        assert set(row) == set(maps) == (set() if kind == "mixed" else set(edits))
        for name in maps:
            torch.testing.assert_close(row[name], maps[name], rtol=1e-4, atol=1e-4)


def test_every_exit_restores_the_unet(
    pipe: MAGEditPipeline, layers: tuple[AttentionSite, ...], inputs: tuple[Tensor, Tensor]
) -> None:
    before = dict(pipe.unet.attn_processors)
    plain = noise(pipe, inputs)
    with pytest.raises(KeyboardInterrupt), capturing(pipe.unet, layers):
        raise KeyboardInterrupt
    assert pipe.unet.attn_processors == before
    unknown = {layers[0].name: AttentionEdit(read=True), "down_blocks.9.attn1": AttentionEdit(read=True)}
    with pytest.raises(AttributeError), editing(pipe.unet, unknown):
        pass
    assert pipe.unet.attn_processors == before
    assert torch.equal(noise(pipe, inputs), plain)


def test_a_layer_of_another_layout_is_refused_by_name(pipe: MAGEditPipeline) -> None:
    unet = copy.deepcopy(pipe.unet)
    unet.down_blocks[0].attentions[0].transformer_blocks[0].attn1.group_norm = torch.nn.GroupNorm(1, 16)
    with pytest.raises(CheckpointError, match=r"down_blocks\.0\.attentions\.0"):
        find_sites(unet, 32)
