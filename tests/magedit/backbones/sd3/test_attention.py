"""A truncated pass of an offloaded transformer; maps and gradients are tested with the base class."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from magedit.backbones.base import reading
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import hook_calls, inputs


def test_a_truncated_pass_runs_the_hook_and_no_later_block(sd3: Path) -> None:
    pipe = MAGEditPipeline.from_pretrained(sd3)
    first, *_, last = pipe.backbone.sites
    latent, prompt = inputs(pipe)
    pipe.network.get_submodule(last.name).register_forward_pre_hook(lambda *_: pytest.fail("a block too many"))
    edited = pipe.backbone.editing(reading([first.name]), 1)
    with hook_calls(pipe.network) as calls, torch.no_grad(), edited as (maps,):
        pipe.backbone.attend(latent, 500.0, prompt, first)
    assert calls == ["SD3Transformer2DModel"]
    assert set(maps) == {first.name}
