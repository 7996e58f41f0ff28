"""A folder in diffusers' layout as one file in the layout of the first Stable Diffusion releases (CompVis' names)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

_FLAT = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def pack(folder: Path, file: Path) -> None:
    """Write the checkpoint of ``folder`` as one ``.safetensors`` or ``.ckpt`` file."""
    unet, vae, text = (
        load_file(next((folder / part).glob("*.safetensors"))) for part in ("unet", "vae", "text_encoder")
    )
    tensors = {f"model.diffusion_model.{_unet(name)}": each for name, each in unet.items()}
    tensors |= {f"first_stage_model.{name}": each for name, each in vae_tensors(vae).items()}
    prefix = "" if next(iter(text)).startswith("text_model.") else "text_model."
    tensors |= {f"cond_stage_model.transformer.{prefix}{name}": each for name, each in text.items()}
    if file.suffix == ".ckpt":
        torch.save({"state_dict": tensors}, file)
    else:
        save_file(tensors, file)


def vae_tensors(vae: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a VAE in diffusers' layout, under the names of the first releases."""
    return {_vae(name): _as_convolution(name, each) for name, each in vae.items()}


def _unet(name: str) -> str:
    for old, new in _FLAT.items():
        if name.startswith(f"{old}."):
            return new + name[len(old) :]
    for side, blocks in (("down", "input_blocks"), ("up", "output_blocks")):
        found = re.match(rf"{side}_blocks\.(\d)\.(resnets|attentions)\.(\d)(.*)", name)
        if found is not None:
            number = 3 * int(found[1]) + int(found[3]) + (side == "down")
            name = f"{blocks}.{number}.{int(found[2] == 'attentions')}{found[4]}"
    name = re.sub(
        r"^down_blocks\.(\d)\.downsamplers\.0\.conv", lambda m: f"input_blocks.{3 * int(m[1]) + 3}.0.op", name
    )
    name = re.sub(
        r"^up_blocks\.(\d)\.upsamplers\.0", lambda m: f"output_blocks.{3 * int(m[1]) + 2}.{2 - (m[1] == '0')}", name
    )
    name = re.sub(r"^mid_block\.resnets\.(\d)", lambda m: f"middle_block.{2 * int(m[1])}", name)
    name = name.replace("mid_block.attentions.0", "middle_block.1")
    if "transformer_blocks" not in name:
        for old, new in _RESNET.items():
            name = name.replace(f".{old}.", f".{new}.")
    return name


def _vae(name: str) -> str:
    name = re.sub(r"^encoder\.down_blocks\.(\d)\.resnets\.(\d)", r"encoder.down.\1.block.\2", name)
    name = re.sub(r"^encoder\.down_blocks\.(\d)\.downsamplers\.0", r"encoder.down.\1.downsample", name)
    name = re.sub(
        r"^decoder\.up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"decoder.up.{3 - int(m[1])}.block.{m[2]}", name
    )
    name = re.sub(r"^decoder\.up_blocks\.(\d)\.upsamplers\.0", lambda m: f"decoder.up.{3 - int(m[1])}.upsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    for old, new in _ATTENTION.items():
        name = name.replace(f"mid_block.attentions.0.{old}.", f"mid.attn_1.{new}.")
    return name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")


def _as_convolution(name: str, each: Tensor) -> Tensor:
    return each[:, :, None, None].contiguous() if "attentions" in name and each.ndim == 2 else each
