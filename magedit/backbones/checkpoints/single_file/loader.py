"""Loader of single-file checkpoints: shipped configs with widths taken from the file's tensors."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from tempfile import TemporaryDirectory
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, StableDiffusionXLPipeline

from magedit.backbones.checkpoints.family import Family
from magedit.backbones.checkpoints.inspect import CheckpointInfo
from magedit.backbones.checkpoints.tensor_files import safetensors_shapes
from magedit.errors import CheckpointError

CONFIGS = Path(__file__).parent
_UNET, _VAE = "model.diffusion_model.", "first_stage_model."

_CLIP_PAD, _OPEN_CLIP_PAD = "<|endoftext|>", "!"
_FLOW: frozenset[Family] = frozenset({"sd3", "flux"})
"""Families whose VAEs differ in scaling and channels, so that no config is shipped."""
_CHECKER = ("safety_checker", "feature_extractor")


@dataclass(frozen=True)
class _TextEncoder:
    """A text encoder in one file: ``prefix`` of its tensors; whether all its layers are used; its tokenizer."""

    prefix: str
    whole: bool
    tokenizer: str
    pad: str


@dataclass(frozen=True)
class _Layout:
    """Layout of a family in one file.

    ``pipeline`` reads it, without the parts in ``absent``; ``levels`` are the first input blocks of the UNet's
    resolutions, ``encoders`` its text encoders by folder. ``head_width`` of the UNet's attention: its number of heads
    follows from it; None: it is the config's.
    """

    pipeline: Any
    levels: tuple[int, ...]
    encoders: Mapping[str, _TextEncoder]
    absent: tuple[str, ...] = ()
    head_width: int | None = None


_SD1 = _TextEncoder("cond_stage_model.transformer.", True, "tokenizer", _CLIP_PAD)
_SD2 = _TextEncoder("cond_stage_model.model.", False, "tokenizer", _OPEN_CLIP_PAD)
_XL = _TextEncoder("conditioner.embedders.0.transformer.", True, "tokenizer", _CLIP_PAD)
_XL_2 = _TextEncoder("conditioner.embedders.1.model.", True, "tokenizer_2", _OPEN_CLIP_PAD)

_LAYOUTS: Mapping[Family, _Layout] = {
    "sd1": _Layout(StableDiffusionPipeline, (1, 4, 7, 10), {"text_encoder": _SD1}, _CHECKER),
    "sd2": _Layout(StableDiffusionPipeline, (1, 4, 7, 10), {"text_encoder": _SD2}, _CHECKER, head_width=64),
    "sdxl": _Layout(
        StableDiffusionXLPipeline, (1, 4, 7), {"text_encoder": _XL, "text_encoder_2": _XL_2}, head_width=64
    ),
}


def load_parts(found: CheckpointInfo, dtype: torch.dtype) -> dict[str, Any]:
    """The parts of a supported single file as its family's backbone takes them.

    Raises:
        CheckpointError: the file lacks expected tensors.
    """
    layout = _LAYOUTS[found.family]
    with TemporaryDirectory() as made:
        folder = Path(made) / "config"
        try:
            write_configs(found, folder)
            pipe = layout.pipeline.from_single_file(
                found.name,
                config=str(folder),
                local_files_only=True,
                torch_dtype=dtype,
                **dict.fromkeys(layout.absent),
            )
        except (RuntimeError, ValueError, KeyError, OSError, UnpicklingError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise CheckpointError(f"{found.name!r} cannot be read as {found.family}: {reason}") from error
    parts: dict[str, Any] = {name: each for name, each in pipe.components.items() if each is not None}
    return parts


def load_vae_file(path: Path, dtype: torch.dtype, checkpoint: CheckpointInfo) -> AutoencoderKL:
    """The VAE of a single file in the first releases' layout: by itself, or in a whole checkpoint.

    No tensor tells the scaling of its latents: it is that of ``checkpoint``, whose VAE it replaces.

    Raises:
        ValueError: the file holds no such VAE, or the scaling of its latents is unknown.
    """
    shapes = safetensors_shapes(path) if path.suffix == ".safetensors" else _pickled_shapes(str(path))
    prefix = _VAE if any(name.startswith(_VAE) for name in shapes) else ""
    with TemporaryDirectory() as made:
        (Path(made) / "config.json").write_text(json.dumps(_vae_config(checkpoint) | _vae(shapes, prefix)))
        return AutoencoderKL.from_single_file(str(path), config=made, local_files_only=True, torch_dtype=dtype)


def _vae_config(checkpoint: CheckpointInfo) -> dict[str, Any]:
    """The config of a checkpoint's own VAE, else, where it has none, of its family's."""
    family, config = checkpoint.family, dict[str, Any]()
    if checkpoint.configs is not None and (own := checkpoint.configs / "vae" / "config.json").is_file():
        config = json.loads(own.read_text())
    if config.get("_class_name") == "AutoencoderKL":
        return config
    if family in _FLOW:
        raise ValueError(
            f"neither the single file nor {checkpoint.name!r}, which has no vae/config.json, says how its latents "
            f"are scaled: give the VAE as a folder in diffusers' layout"
        )
    shipped = family if family in _LAYOUTS else "sd1"
    return dict(json.loads((CONFIGS / shipped / "vae" / "config.json").read_text()))


def write_configs(found: CheckpointInfo, folder: Path) -> None:
    """Write the configs and the tokenizers of a single file into ``folder``, which must not be there."""
    shutil.copytree(CONFIGS / found.family, folder)
    for name, values in _told(found).items():
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | values))
    for encoder in _LAYOUTS[found.family].encoders.values():
        _write_tokenizer(folder / encoder.tokenizer, pad=encoder.pad)


def _told(found: CheckpointInfo) -> dict[str, dict[str, Any]]:
    """Config values derived from a file's tensors: config -> its values."""
    shapes, layout = found.shapes or _pickled_shapes(found.name), _LAYOUTS[found.family]
    widths = [_shape(shapes, f"{_UNET}input_blocks.{level}.0.out_layers.3.weight")[0] for level in layout.levels]
    inner = (name for name in shapes if name.startswith(f"{_UNET}input_blocks.") and name.endswith("attn2.to_k.weight"))
    # The second resolution has cross attention in every family.
    cross = next(inner, f"{_UNET}input_blocks.{layout.levels[1]}.1.transformer_blocks.0.attn2.to_k.weight")
    unet: dict[str, Any] = {"block_out_channels": widths, "cross_attention_dim": _shape(shapes, cross)[1]}
    if layout.head_width is not None:
        unet["attention_head_dim"] = [max(1, width // layout.head_width) for width in widths]
    if embedding := shapes.get(f"{_UNET}label_emb.0.0.weight"):
        unet["projection_class_embeddings_input_dim"] = embedding[1]
    # Markers that trainers of models with v-prediction write into the file.
    scheduler: dict[str, Any] = {"prediction_type": "v_prediction"} if "v_pred" in shapes else {}
    if "ztsnr" in shapes:
        scheduler["rescale_betas_zero_snr"] = True
    return {
        "unet/config.json": unet,
        "vae/config.json": _vae(shapes, _VAE),
        "scheduler/scheduler_config.json": scheduler,
        **{f"{name}/config.json": _text_encoder(shapes, each) for name, each in layout.encoders.items()},
    }


def _text_encoder(shapes: Mapping[str, tuple[int, ...]], encoder: _TextEncoder) -> dict[str, int]:
    """The sizes of a text encoder, whose tensors have transformers' names or OpenCLIP's."""
    prefix = encoder.prefix
    own = f"{prefix}text_model.embeddings.token_embedding.weight"
    layers, inner = "text_model.encoder.layers.", "mlp.fc1"
    if own not in shapes:
        own, layers, inner = f"{prefix}token_embedding.weight", "transformer.resblocks.", "mlp.c_fc"
    vocabulary, width = _shape(shapes, own)
    told = {"vocab_size": vocabulary, "hidden_size": width}
    if encoder.whole:
        told["intermediate_size"] = _shape(shapes, f"{prefix}{layers}0.{inner}.weight")[0]
        told["num_hidden_layers"] = _count(shapes, prefix + layers)
    if encoder.whole and (projection := shapes.get(f"{prefix}text_projection")):
        told["projection_dim"] = projection[1]
    return told


def _vae(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> dict[str, Any]:
    """The sizes of a VAE."""
    levels = range(max(1, _count(shapes, f"{prefix}encoder.down.")))
    return {
        "block_out_channels": [_shape(shapes, f"{prefix}encoder.down.{n}.block.0.conv2.weight")[0] for n in levels],
        "down_block_types": ["DownEncoderBlock2D" for _ in levels],
        "up_block_types": ["UpDecoderBlock2D" for _ in levels],
        "layers_per_block": _count(shapes, f"{prefix}encoder.down.0.block."),
        "latent_channels": _shape(shapes, f"{prefix}decoder.conv_in.weight")[1],
        "mid_block_add_attention": f"{prefix}encoder.mid.attn_1.q.weight" in shapes,
        "use_quant_conv": f"{prefix}quant_conv.weight" in shapes,
        "use_post_quant_conv": f"{prefix}post_quant_conv.weight" in shapes,
    }


def _shape(shapes: Mapping[str, tuple[int, ...]], name: str) -> tuple[int, ...]:
    """Raise ValueError with the tensor's name if the file lacks it."""
    if name not in shapes:
        raise ValueError(f"it has no tensor {name!r}")
    return shapes[name]


def _pickled_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """The shapes in a ``.ckpt`` file, without its data; torch refuses anything but tensors and plain values."""
    loaded = torch.load(name, map_location="meta", weights_only=True, mmap=True)
    tensors = loaded.get("state_dict", loaded)
    return {key: tuple(each.shape) for key, each in tensors.items() if isinstance(each, torch.Tensor)}


def _count(shapes: Mapping[str, Any], prefix: str) -> int:
    """The number of numbered layers under ``prefix``."""
    return len({name[len(prefix) :].partition(".")[0] for name in shapes if name.startswith(prefix)})


def _write_tokenizer(folder: Path, *, pad: str) -> None:
    """CLIP's tokenizer (its vocabulary is bytes, bytes that end a word, the merges in order, begin and end)."""
    merges = gzip.decompress((CONFIGS / "merges.txt.gz").read_bytes()).decode()
    # Bytes as printable characters (Radford et al., GPT-2): those that are printable first, the others from 256 on.
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in printable] + [chr(256 + n) for n in range(256 - len(printable))]
    pairs = ["".join(line.split()) for line in merges.splitlines()[1:]]
    ends = ["<|startoftext|>", "<|endoftext|>"]
    tokens = [*letters, *(letter + "</w>" for letter in letters), *pairs, *ends]
    special = {"bos_token": ends[0], "eos_token": ends[1], "unk_token": ends[1], "pad_token": pad}
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({token: n for n, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text(merges)
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
