"""Export of checkpoints: a diffusers folder in Stable Diffusion's layout, with the known words."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    LCMScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from magedit.demo.vocabulary import GROUPS, INSTRUCTIONS, TOLD, write_vocabulary
from recipes.stages.silence import build_silent_t5

KEPT = ("README.md",)
"""Hand-written files that are kept from an earlier export."""

DOMAIN = "flat drawings of rooms"
"""The training domain, for `GET /v1/models`."""

FLOW_KEYS: Mapping[str, Any] = {
    "guidance_blocks": [4],
    "edit_defaults": {"guidance_scale": 4.0, "flow-edit": {"guidance_scale": 4.0, "source_guidance_scale": 1.0}},
}
"""Guidance settings of the checkpoint in Stable Diffusion 3's layout: the block whose maps edit best for their cost,
and the scale that it draws best with."""


@dataclass(frozen=True, kw_only=True)
class Guidance:
    """The checkpoint's guidance settings: keys of `model_index.json` that other pipelines ignore."""

    resolution: int
    """Side in cells of the attention maps to read."""
    step_size: float
    """Step size of one update of the latent."""
    spatial_step_size: float
    """The same for the spatial ratio."""


def export_checkpoint(
    out: Path,
    *,
    vae: AutoencoderKL,
    encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    unet: UNet2DConditionModel,
    scheduler: DDIMScheduler | LCMScheduler,
    guidance: Guidance | None,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Replaces the folder `out` by the checkpoint; a kill leaves the old or the new one.

    VAE and UNet are stored as `dtype` (diffusers loads float32 unless told otherwise); the small text
    encoder stays float32, because transformers loads the type it finds and the parts of a pipeline must
    agree. A UNet of more channels in than out makes a checkpoint that edits by instruction, for which there is no
    `guidance`.
    """
    by_instruction = unet.config.in_channels > unet.config.out_channels
    layout = StableDiffusionInstructPix2PixPipeline if by_instruction else StableDiffusionPipeline
    pipeline = layout(
        vae=vae.to(dtype=dtype),
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=unet.to(dtype=dtype),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        image_encoder=None,
        requires_safety_checker=False,
    )
    keys = {}
    if guidance is not None:
        keys = {
            "guidance_resolution": guidance.resolution,
            "guidance_step_size": guidance.step_size,
            "spatial_step_size": guidance.spatial_step_size,
        }
    _store(out, pipeline, tokenizer, keys, INSTRUCTIONS if by_instruction else GROUPS)


def export_flow_checkpoint(
    out: Path,
    *,
    vae: AutoencoderKL,
    encoders: Sequence[CLIPTextModelWithProjection],
    tokenizer: CLIPTokenizer,
    transformer: SD3Transformer2DModel,
    scheduler: FlowMatchEulerDiscreteScheduler,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Replaces the folder `out` by a checkpoint in Stable Diffusion 3's layout; a kill leaves the old or the new one.

    Types as `export_checkpoint` stores them. The third text encoder, T5, is silent; `max_sequence_length` in
    `model_index.json` says how many of its states are needed: none, but the pipeline's default number works too.
    """
    first, second = encoders
    tokenizer_3, third = build_silent_t5(transformer.config.joint_attention_dim)
    pipeline = StableDiffusion3Pipeline(
        vae=vae.to(dtype=dtype),
        text_encoder=first,
        tokenizer=tokenizer,
        text_encoder_2=second,
        tokenizer_2=tokenizer,
        text_encoder_3=third,
        tokenizer_3=tokenizer_3,
        transformer=transformer.to(dtype=dtype),
        scheduler=scheduler,
    )
    _store(out, pipeline, tokenizer, {"max_sequence_length": 0, **FLOW_KEYS}, TOLD)


def _store(
    out: Path,
    pipeline: DiffusionPipeline,
    tokenizer: CLIPTokenizer,
    keys: Mapping[str, Any],
    vocabulary: Mapping[str, tuple[str, ...]],
) -> None:
    """Replaces the folder `out` by the pipeline's, with further keys of its index and its vocabulary."""
    fresh = out.with_name(f"{out.name}.{os.getpid()}.tmp")
    tokenizer.backend_tokenizer.no_padding()  # otherwise the last call's settings would be stored
    tokenizer.backend_tokenizer.no_truncation()
    pipeline.save_pretrained(fresh, safe_serialization=True)
    for file in fresh.glob("*/config.json"):
        config = json.loads(file.read_text())
        if config.pop("_name_or_path", None) is not None:  # a folder of this machine
            file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    index = json.loads((fresh / "model_index.json").read_text())
    index |= {"domain": DOMAIN, **keys}
    (fresh / "model_index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
    write_vocabulary(fresh, vocabulary)
    replace_folder(fresh, out)


def replace_folder(fresh: Path, out: Path) -> None:
    """Replaces an earlier export, whose files written by hand are kept."""
    for name in KEPT:
        if (out / name).exists():
            shutil.copy2(out / name, fresh / name)
    for path in fresh.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # safetensors writes files that their owner alone may read
    if out.exists():
        shutil.rmtree(out)
    fresh.rename(out)
