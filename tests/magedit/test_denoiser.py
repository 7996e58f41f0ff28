"""The truncated pass and the frozen weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_module
from torch import Tensor

from magedit.attention import capturing, find_layers, guidance_layers
from magedit.denoiser import Denoiser, frozen
from magedit.meter import Meter
from magedit.pipeline import MAGEditPipeline
from magedit.schedule import Schedule


def inputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(1, 4, 32, 32, generator=generator), torch.randn(1, 77, 32, generator=generator)


def test_a_truncated_pass_gives_the_whole_passes_maps_up_to_every_layer(pipe: MAGEditPipeline) -> None:
    layers = find_layers(pipe.unet, pipe.latent_side)
    sample, embedding = inputs()
    denoiser = Denoiser(pipe.unet, Schedule.from_scheduler(pipe.scheduler, 10), Meter({}))
    with torch.no_grad():
        with capturing(pipe.unet, layers) as whole:
            denoiser.noise(sample, 481, embedding)
        for index, last in enumerate(layers):
            with capturing(pipe.unet, layers) as maps:
                denoiser.attend(sample, 481, embedding, last)
            assert set(maps) == {layer.name for layer in layers[: index + 1]}
            assert all(torch.equal(kept, whole[name]) for name, kept in maps.items())
    assert denoiser.meter.truncated == len(layers)


def test_the_gradient_of_a_truncated_pass_is_the_whole_passes(pipe: MAGEditPipeline) -> None:
    layers = find_layers(pipe.unet, pipe.latent_side)
    read = guidance_layers(layers, 8)
    sample, embedding = inputs()
    denoiser = Denoiser(pipe.unet, Schedule.from_scheduler(pipe.scheduler, 10), Meter({}))
    gradients = []
    for whole in (True, False):
        latent = sample.clone().requires_grad_(True)
        with torch.enable_grad(), frozen(pipe.unet), capturing(pipe.unet, read) as maps:
            if whole:
                denoiser.noise(latent, 481, embedding)
            else:
                denoiser.attend(latent, 481, embedding, read[-1])
            (gradient,) = torch.autograd.grad(torch.stack([m.square().sum() for m in maps.values()]).sum(), latent)
        gradients.append(gradient)
    assert gradients[0].abs().max() > 0
    assert torch.equal(*gradients)


def test_the_gradient_reaches_the_latent_and_no_weight(pipe: MAGEditPipeline) -> None:
    layers = find_layers(pipe.unet, pipe.latent_side)
    last = [layer for layer in layers if layer.cross and layer.side == 8][-1]
    latent, embedding = inputs()
    latent.requires_grad_(True)
    with torch.enable_grad(), frozen(pipe.unet), capturing(pipe.unet, [last]) as maps:
        Denoiser(pipe.unet, Schedule.from_scheduler(pipe.scheduler, 10), Meter({})).attend(latent, 481, embedding, last)
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
    denoiser = Denoiser(pipe.unet, Schedule.from_scheduler(pipe.scheduler, 10), Meter({}))
    sample, embedding = inputs()
    add_hook_to_module(pipe.unet, Mover())
    try:
        with torch.no_grad():
            denoiser.attend(sample, 1, embedding, last)
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
