"""Tiny real checkpoints and LoRA files with random weights, for the layouts that are too large to keep here."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from peft import LoraConfig, get_peft_model_state_dict
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from tests.conftest import CHECKPOINT

SIDE = 16
"""Side of the latents, for pictures of 128 px."""

T5_TOKENS = 24
"""States of T5 behind those of CLIP."""


def write_sd3(folder: Path, *, t5: bool = True, **config: Any) -> Path:
    """A checkpoint of Stable Diffusion 3's layout in ``folder``; ``config`` is the transformer's."""
    torch.manual_seed(0)
    width = 32
    encoders = [_clip(16), _clip(16)]
    pipeline = StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            **{
                "sample_size": SIDE,
                "patch_size": 2,
                "in_channels": 4,
                "out_channels": 4,
                "num_layers": 3,
                "attention_head_dim": 8,
                "num_attention_heads": 4,
                "joint_attention_dim": 32,
                "caption_projection_dim": width,
                "pooled_projection_dim": 32,
                "pos_embed_max_size": SIDE // 2,
                "qk_norm": "rms_norm",
                **config,
            }
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(),
        text_encoder=encoders[0],
        tokenizer=_clip_tokenizer(),
        text_encoder_2=encoders[1],
        tokenizer_2=_clip_tokenizer(),
        text_encoder_3=_t5(32) if t5 else None,
        tokenizer_3=_t5_tokenizer() if t5 else None,
    )
    pipeline.register_to_config(max_sequence_length=T5_TOKENS)
    pipeline.save_pretrained(folder)
    return folder


def write_flux(folder: Path, **config: Any) -> Path:
    """A checkpoint of FLUX.1's layout in ``folder``; ``config`` is the transformer's."""
    torch.manual_seed(0)
    pipeline = FluxPipeline(
        transformer=FluxTransformer2DModel(
            **{
                "patch_size": 1,
                "in_channels": 16,
                "num_layers": 2,
                "num_single_layers": 2,
                "attention_head_dim": 16,
                "num_attention_heads": 2,
                "joint_attention_dim": 32,
                "pooled_projection_dim": 16,
                "guidance_embeds": True,
                "axes_dims_rope": (4, 4, 8),
                **config,
            }
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=_vae(),
        text_encoder=CLIPTextModel(_clip_config(16)).eval(),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=_t5(32),
        tokenizer_2=_t5_tokenizer(),
    )
    pipeline.register_to_config(max_sequence_length=T5_TOKENS)
    pipeline.save_pretrained(folder)
    return folder


def lora_file(pipe: Any, file: Path, *, text: bool = True, seed: int = 0) -> Path:
    """A LoRA of rank 2 on the cross attention of a pipeline's UNet and on its text encoder, large enough to be seen."""
    network, encoder = _adapter(pipe.unet, seed), _adapter(pipe.text_encoder, seed + 1) if text else None
    file.parent.mkdir(parents=True, exist_ok=True)
    type(pipe.backbone).save_lora_weights(
        file.parent, unet_lora_layers=network, text_encoder_lora_layers=encoder, weight_name=file.name
    )
    return file


def _clip_tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(CHECKPOINT / "tokenizer")


def _clip_config(projection: int) -> CLIPTextConfig:
    tokenizer = _clip_tokenizer()
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        projection_dim=projection,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _clip(projection: int) -> CLIPTextModelWithProjection:
    return CLIPTextModelWithProjection(_clip_config(projection)).eval()


def _t5_tokenizer() -> T5TokenizerFast:
    """Words of the tests' prompts are whole pieces, all else is spelled."""
    words = ("▁a", "▁room", "▁with", "▁red", "▁green", "▁sofa")
    letters = tuple("▁abcdefghijklmnopqrstuvwxyz,")
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), *((word, -1.0) for word in words)]
    pieces += [(letter, -5.0) for letter in letters]
    return T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=T5_TOKENS)


def _t5(width: int) -> T5EncoderModel:
    config = T5Config(
        vocab_size=len(_t5_tokenizer()), d_model=width, d_kv=8, d_ff=32, num_layers=1, num_heads=2, dropout_rate=0.0
    )
    return T5EncoderModel(config).eval()


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        mid_block_add_attention=False,
        sample_size=128,
        scaling_factor=1.5305,
        shift_factor=0.0609,
    ).eval()


def copy_of(folder: Path, target: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(folder, target)
    return target


def _adapter(model: Any, seed: int) -> dict[str, Any]:
    targets = ["to_q", "to_v"] if hasattr(model, "conv_in") else ["q_proj", "v_proj"]
    model = copy.deepcopy(model)
    model.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=targets), adapter_name="new")
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(each.shape, generator=generator) * 0.3
        for name, each in get_peft_model_state_dict(model, adapter_name="new").items()
    }
