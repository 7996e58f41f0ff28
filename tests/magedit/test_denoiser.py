"""The truncated pass and the frozen weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_module

from magedit.attention import capturing, find_layers, guidance_layers
from magedit.denoiser import Denoiser, forward_until, frozen
from magedit.meter import Meter
from magedit.pipeline import MAGEditPipeline
from magedit.schedule import Schedule


def test_a_truncated_pass_gives_the_whole_passes_maps_up_to_every_layer(pipe: MAGEditPipeline) -> None:
    layers = find_layers(pipe.unet, pipe.latent_side)
    generator = torch.Generator().manual_seed(5)
    sample = torch.randn(1, 4, 32, 32, generator=generator)
    embedding = torch.randn(1, 77, 32, generator=generator)
    with torch.no_grad():
        with capturing(pipe.unet, layers) as whole:
            pipe.unet(sample, 481, embedding)
        for index, last in enumerate(layers):
            with capturing(pipe.unet, layers) as maps:
                forward_until(pipe.unet, sample, 481, embedding, last.name)
            assert {layer.name for layer in layers[: index + 1]} <= set(maps)
            for name, kept in maps.items():
                torch.testing.assert_close(kept, whole[name], rtol=1e-5, atol=1e-7)


def test_a_truncated_pass_ends_with_the_transformer_that_holds_its_layer(pipe: MAGEditPipeline) -> None:
    layers = find_layers(pipe.unet, pipe.latent_side)
    last = next(layer for layer in layers if layer.name.startswith("up_blocks.1.attentions.1") and layer.cross)
    with torch.no_grad(), capturing(pipe.unet, layers) as maps:
        forward_until(pipe.unet, torch.zeros(1, 4, 32, 32), 1, torch.zeros(1, 77, 32), last.name)
    assert set(maps) == {layer.name for layer in layers[: layers.index(last) + 1]}


def test_the_gradient_reaches_the_latent_and_no_weight(pipe: MAGEditPipeline) -> None:
    layers = find_layers(pipe.unet, pipe.latent_side)
    last = [layer for layer in layers if layer.cross and layer.side == 8][-1]
    generator = torch.Generator().manual_seed(1)
    latent = torch.randn(1, 4, 32, 32, generator=generator).requires_grad_(True)
    embedding = torch.randn(1, 77, 32, generator=generator)
    with torch.enable_grad(), frozen(pipe.unet), capturing(pipe.unet, [last]) as maps:
        forward_until(pipe.unet, latent, 481, embedding, last.name)
        maps[last.name].square().sum().backward()  # type: ignore[no-untyped-call]
    assert latent.grad is not None
    assert latent.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in pipe.unet.parameters())


def test_a_truncated_pass_runs_the_hook_that_moves_an_offloaded_unet(pipe: MAGEditPipeline) -> None:
    calls: list[str] = []

    class Mover(ModelHook):  # type: ignore[misc]
        def pre_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            calls.append(type(module).__name__)
            return args, kwargs

    last = guidance_layers(find_layers(pipe.unet, pipe.latent_side), 8)[-1]
    add_hook_to_module(pipe.unet, Mover())
    try:
        with torch.no_grad():
            forward_until(pipe.unet, torch.zeros(1, 4, 32, 32), 1, torch.zeros(1, 77, 32), last.name)
    finally:
        remove_hook_from_module(pipe.unet)
    assert calls == ["UNet2DConditionModel"]


def test_freezing_puts_each_flag_back_however_it_ends() -> None:
    module = torch.nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    inside: list[bool] = []

    def fail() -> None:
        with frozen(module):
            inside.extend(parameter.requires_grad for parameter in module.parameters())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert inside == [False, False]
    assert module.weight.requires_grad
    assert not module.bias.requires_grad


def test_noise_is_fp32_outside_and_counted(pipe: MAGEditPipeline) -> None:
    meter = Meter({})
    denoiser = Denoiser(pipe.unet, Schedule.from_scheduler(pipe.scheduler, 10), meter)
    latents = torch.zeros(2, 4, 32, 32)
    with torch.no_grad():
        noise = denoiser.noise(latents, 901, torch.zeros(2, 77, 32))
        torch.testing.assert_close(noise, pipe.unet(latents, 901, torch.zeros(2, 77, 32)).sample)
    assert noise.dtype == torch.float32
    assert (meter.forward, meter.truncated, meter.backward) == (1, 0, 0)
