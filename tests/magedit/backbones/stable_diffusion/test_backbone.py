"""Stable Diffusion against diffusers' pipeline, on a tiny real model."""

from __future__ import annotations

import torch
from diffusers import StableDiffusionPipeline

from magedit.backbones.base import classifier_free_guidance
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import CHECKPOINT


def test_encodes_and_samples_as_diffusers_does(pipe: MAGEditPipeline) -> None:
    backbone, prompt = pipe.backbone, "a room with a red sofa"
    own = StableDiffusionPipeline.from_pretrained(CHECKPOINT, safety_checker=None)
    own.scheduler = pipe.scheduler
    own.set_progress_bar_config(disable=True)
    noise = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(1))
    wanted = own(prompt, latents=noise, num_inference_steps=3, guidance_scale=4.0, output_type="latent").images
    process, latent = backbone.process(3), noise
    with torch.no_grad():
        told, empty = backbone.encode(prompt), backbone.encode("")
        states, nothing = own.encode_prompt(prompt, "cpu", 1, do_classifier_free_guidance=True)
        for t in process.timesteps:
            without, with_prompt = (backbone.predict(latent, t, each) for each in (empty, told))
            latent = process.step(classifier_free_guidance(without, with_prompt, 4.0), t, latent)
    assert torch.equal(told.hidden_states, states)
    assert torch.equal(empty.hidden_states, nothing)
    torch.testing.assert_close(latent, wanted, rtol=1e-4, atol=1e-4)
