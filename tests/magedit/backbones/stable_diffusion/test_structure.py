"""Sites of Plug-and-Play's injection."""

from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DConditionModel

from magedit.backbones.stable_diffusion.attention import find_sites
from magedit.backbones.stable_diffusion.structure import structure_sites
from magedit.errors import CheckpointError


def test_sites_of_stable_diffusion_are_the_papers() -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel()  # the defaults are Stable Diffusion 1.x
    found = structure_sites(unet, find_sites(unet, 64))
    # Residual of decoder layer 4 and self-attention of layers 4 to 11, counted over the ResNet blocks of the decoder.
    assert found.feature == "up_blocks.1.resnets.1.conv2"
    layers = [(1, 1), (1, 2), *((block, layer) for block in (2, 3) for layer in range(3))]
    wanted = [f"up_blocks.{block}.attentions.{layer}.transformer_blocks.0.attn1" for block, layer in layers]
    assert [site.name for site in found.attention] == wanted


def test_a_decoder_with_single_attention_layers_is_rejected() -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            block_out_channels=(32, 64),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
            layers_per_block=1,
        )
    with pytest.raises(CheckpointError, match="no up block with two attention layers"):
        structure_sites(unet, ())
