"""Tiny LoRA files of the layout that diffusers writes, with random weights."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict


def lora_file(pipe: Any, file: Path, *, text: bool = True, seed: int = 0) -> Path:
    """A LoRA of rank 2 on the cross attention of a pipeline's UNet and on its text encoder, large enough to be seen."""
    network, encoder = _adapter(pipe.unet, seed), _adapter(pipe.text_encoder, seed + 1) if text else None
    file.parent.mkdir(parents=True, exist_ok=True)
    type(pipe.backbone).save_lora_weights(
        file.parent, unet_lora_layers=network, text_encoder_lora_layers=encoder, weight_name=file.name
    )
    return file


def _adapter(model: Any, seed: int) -> dict[str, Any]:
    targets = ["to_q", "to_v"] if hasattr(model, "conv_in") else ["q_proj", "v_proj"]
    model = copy.deepcopy(model)
    model.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=targets), adapter_name="new")
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(each.shape, generator=generator) * 0.3
        for name, each in get_peft_model_state_dict(model, adapter_name="new").items()
    }
