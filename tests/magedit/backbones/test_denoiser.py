"""Noise of a latent, counted."""

from __future__ import annotations

import torch

from magedit.backbones.base import Conditioning
from magedit.backbones.denoiser import Denoiser
from magedit.measures.meter import Meter
from magedit.measures.report import Progress
from magedit.pipelines.mag_edit import MAGEditPipeline


def test_noise_is_fp32_outside_and_counted(pipe: MAGEditPipeline) -> None:
    meter = Meter({})
    denoiser = Denoiser(pipe.backbone, pipe.process(10), meter)
    latents = torch.zeros(2, 4, 32, 32)
    with torch.no_grad():
        noise = denoiser.predict(latents, 901, Conditioning(torch.zeros(2, 77, 32)))
        torch.testing.assert_close(noise, pipe.unet(latents, 901, torch.zeros(2, 77, 32)).sample)
    assert noise.dtype == torch.float32
    assert (meter.forward, meter.truncated, meter.backward) == (1, 0, 0)


def test_results_that_share_a_batch_count_each_and_are_reported_once(pipe: MAGEditPipeline) -> None:
    reports: list[Progress] = []
    meter = Meter({}, reports.append)
    denoiser = Denoiser(pipe.backbone, pipe.process(10), meter)
    with torch.no_grad():
        denoiser.predict(torch.zeros(4, 4, 32, 32), 901, Conditioning(torch.zeros(4, 77, 32)), results=2)
    assert (meter.forward, len(reports)) == (2, 1)
