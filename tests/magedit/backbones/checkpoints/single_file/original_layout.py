"""A folder in diffusers' layout as one file in the layout of the first Stable Diffusion releases (CompVis' names)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

_FLAT = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
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


_OPEN_CLIP = {
    "text_model.embeddings.token_embedding": "token_embedding",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm": "ln_final",
    "text_model.encoder.layers": "transformer.resblocks",
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def pack(folder: Path, file: Path, *, marks: Collection[str] = (), open_clip: bool = False) -> None:
    """Write the checkpoint of ``folder`` as one ``.safetensors`` or ``.ckpt`` file, with ``marks`` as empty tensors.

    ``open_clip``: the text encoder under OpenCLIP's names, as in Stable Diffusion 2.x.
    """
    unet, vae, text = (_load(folder / part) for part in ("unet", "vae", "text_encoder"))
    plain = {name.split(".")[1] for name in unet if name.startswith("up_blocks")} - {
        name.split(".")[1] for name in unet if name.startswith("up_blocks") and ".attentions." in name
    }
    tensors = {f"model.diffusion_model.{_unet(name, plain)}": each for name, each in unet.items()}
    tensors |= {f"first_stage_model.{name}": each for name, each in vae_tensors(vae).items()}
    prefix = "" if next(iter(text)).startswith("text_model.") else "text_model."
    is_xl = (folder / "text_encoder_2").is_dir()
    first = "conditioner.embedders.0" if is_xl else "cond_stage_model"
    if open_clip:
        tensors |= {f"{first}.model.{name}": each for name, each in open_clip_tensors(text).items()}
    else:
        tensors |= {f"{first}.transformer.{prefix}{name}": each for name, each in text.items()}
    if is_xl:
        second = open_clip_tensors(_load(folder / "text_encoder_2"))
        tensors |= {f"conditioner.embedders.1.model.{name}": each for name, each in second.items()}
    tensors |= {name: torch.zeros(0) for name in marks}
    if file.suffix == ".ckpt":
        torch.save({"state_dict": tensors}, file)
    else:
        save_file(tensors, file)


def _load(folder: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = load_file(next(folder.glob("*.safetensors")))
    return tensors


def open_clip_tensors(encoder: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a CLIP text encoder with projection, under OpenCLIP's names: one for queries, keys and values."""
    tensors = {}
    for name, each in encoder.items():
        renamed = name
        for old, new in _OPEN_CLIP.items():
            renamed = renamed.replace(old, new)
        if name == "text_projection.weight":
            tensors["text_projection"] = each.T.contiguous()
        elif ".q_proj." in name:
            parts = [encoder[name.replace("q_proj", part)] for part in ("q_proj", "k_proj", "v_proj")]
            tensors[renamed.replace(".self_attn.q_proj.", ".attn.in_proj_")] = torch.cat(parts)
        elif ".k_proj." not in name and ".v_proj." not in name:
            tensors[renamed] = each
    return tensors


def vae_tensors(vae: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a VAE in diffusers' layout, under the names of the first releases."""
    return {_vae(name): _as_convolution(name, each) for name, each in vae.items()}


def _unet(name: str, plain: Collection[str]) -> str:
    """``plain`` are the numbers of the up blocks without attention."""
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
        r"^up_blocks\.(\d)\.upsamplers\.0", lambda m: f"output_blocks.{3 * int(m[1]) + 2}.{2 - (m[1] in plain)}", name
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
