"""Negative-prompt inversion: the source prompt is its own unconditional, so guidance cancels on the source."""

from __future__ import annotations

import torch

from magedit.backbones.base import classifier_free_guidance
from magedit.inversion.base import InversionTask
from magedit.inversion.negative_prompt.loop import negative_prompt


def test_guidance_has_no_effect_on_the_source_branch(task: InversionTask) -> None:
    inverted = negative_prompt(task)
    assert not inverted.exact
    t = task.denoiser.process.timesteps[0]
    conditional = task.denoiser.predict(inverted.latents[0], t, task.source)
    unconditional = task.denoiser.predict(inverted.latents[0], t, inverted.unconditional[0])
    torch.testing.assert_close(classifier_free_guidance(unconditional, conditional, 7.5), conditional)
