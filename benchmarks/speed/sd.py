"""Checkpoints of Stable Diffusion 1.x and XL size with random weights, for speed and memory benchmarks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from magedit.backbones.checkpoints.single_file.loader import CONFIGS as SINGLE_FILE
from magedit.backbones.sdxl.backbone import StableDiffusionXL
from magedit.backbones.stable_diffusion.backbone import StableDiffusion
from magedit.demo import checkpoint_path
from magedit.pipelines.mag_edit import MAGEditPipeline

SD_UNET: dict[str, Any] = {
    "sample_size": 64,
    "block_out_channels": (320, 640, 1280, 1280),
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
"""UNet config of Stable Diffusion 1.x; the rest are diffusers' defaults."""
SD_VAE: dict[str, Any] = {
    "sample_size": 512,
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}
"""VAE config of Stable Diffusion 1.x."""
SD_TEXT: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
}
"""CLIP ViT-L/14's text encoder, which Stable Diffusion 1.x uses."""
SDXL_ENCODERS = ("text_encoder", "text_encoder_2")
"""The text encoders of Stable Diffusion XL, by folder."""


def sd_pipeline(dtype: torch.dtype, device: str = "cpu") -> MAGEditPipeline:
    """Random weights in Stable Diffusion 1.x's sizes, with the demo's tokenizer."""
    demo: MAGEditPipeline = MAGEditPipeline.from_pretrained(checkpoint_path())
    text = CLIPTextConfig(**SD_TEXT, vocab_size=49408, bos_token_id=0, eos_token_id=1, pad_token_id=1)
    with _drawn(dtype, device):
        parts = (AutoencoderKL(**SD_VAE), CLIPTextModel(text), UNet2DConditionModel(**SD_UNET))
    vae, encoder, unet = (part.to(device, dtype).eval() for part in parts)
    return MAGEditPipeline(StableDiffusion(vae, encoder, demo.tokenizer, unet, demo.scheduler))


def sdxl_pipeline(dtype: torch.dtype, device: str = "cpu") -> MAGEditPipeline:
    """Random weights in Stable Diffusion XL's sizes, with the demo's tokenizer."""
    demo: MAGEditPipeline = MAGEditPipeline.from_pretrained(checkpoint_path())
    configs = SINGLE_FILE / "sdxl"
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    first, second = (CLIPTextConfig.from_pretrained(configs / each, **ids) for each in SDXL_ENCODERS)
    with _drawn(dtype, device):
        parts = (
            AutoencoderKL.from_config(AutoencoderKL.load_config(configs / "vae")),
            CLIPTextModel(first),
            CLIPTextModelWithProjection(second),
            UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(configs / "unet")),
        )
    vae, encoder, encoder_2, unet = (part.to(device, dtype).eval() for part in parts)
    words = demo.tokenizer
    return MAGEditPipeline(StableDiffusionXL(vae, encoder, encoder_2, words, words, unet, demo.scheduler))


@contextmanager
def _drawn(dtype: torch.dtype, device: str) -> Iterator[None]:
    """Draw weights in this number format on the target device."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)


def weights(pipe: MAGEditPipeline) -> dict[str, list[Tensor]]:
    """Weights and buffers of each part."""
    parts = {"UNet": pipe.unet, "VAE": pipe.vae, "text encoder": pipe.text_encoder}
    return {name: [*part.parameters(), *part.buffers()] for name, part in parts.items()}
