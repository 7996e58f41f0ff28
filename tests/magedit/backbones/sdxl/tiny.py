"""A tiny checkpoint of Stable Diffusion XL's layout: all components, random weights, 256 px, 8x8 guidance maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from tests.conftest import CHECKPOINT

WIDTH = 32
"""Of each text encoder's states."""


def sdxl_checkpoint(folder: Path) -> Path:
    """Write it into ``folder`` as StableDiffusionXLPipeline saves it."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=32,
        block_out_channels=(16, 32, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=[1, 1, 2],
        attention_head_dim=[1, 2, 4],
        norm_num_groups=8,
        cross_attention_dim=2 * WIDTH,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + WIDTH,
    )
    # Sharp maps: with the small weights of a fresh model all words get the same share.
    for name, module in unet.named_modules():
        if name.endswith("attn2.to_q"):
            module.weight.data *= 8
    StableDiffusionXLPipeline(
        vae=AutoencoderKL.from_config(
            AutoencoderKL.load_config(CHECKPOINT, subfolder="vae") | {"scaling_factor": 0.13}
        ),
        text_encoder=CLIPTextModel(_text(num_hidden_layers=3)),
        text_encoder_2=CLIPTextModelWithProjection(_text(hidden_act="gelu", num_hidden_layers=3)),
        tokenizer=CLIPTokenizer.from_pretrained(CHECKPOINT, subfolder="tokenizer"),
        tokenizer_2=CLIPTokenizer.from_pretrained(CHECKPOINT, subfolder="tokenizer", pad_token="!"),
        unet=unet,
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
        add_watermarker=False,
    ).save_pretrained(folder)
    return folder


def _text(**changes: Any) -> CLIPTextConfig:
    return CLIPTextConfig.from_pretrained(CHECKPOINT / "text_encoder", projection_dim=WIDTH, **changes)
