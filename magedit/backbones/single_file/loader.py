"""The parts of a single-file checkpoint: the shipped configs, with the widths that the file's own tensors have."""

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

from magedit.backbones.inspect import CheckpointInfo, Family
from magedit.backbones.tensor_files import safetensors_shapes
from magedit.errors import CheckpointError

CONFIGS = Path(__file__).parent
_UNET, _VAE = "model.diffusion_model.", "first_stage_model."

_CLIP_PAD, _OPEN_CLIP_PAD = "<|endoftext|>", "!"
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
    """How a family lies in one file.

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
        CheckpointError: the file does not hold what its keys promise.
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


def load_vae_file(path: Path, dtype: torch.dtype) -> AutoencoderKL:
    """The VAE of a single file in the first releases' layout: by itself, or in a whole checkpoint.

    Raises:
        KeyError: the file holds no such VAE.
    """
    shapes = safetensors_shapes(path) if path.suffix == ".safetensors" else _pickled_shapes(str(path))
    prefix = _VAE if any(name.startswith(_VAE) for name in shapes) else ""
    with TemporaryDirectory() as made:
        config = json.loads((CONFIGS / "sd1" / "vae" / "config.json").read_text())
        (Path(made) / "config.json").write_text(
            json.dumps(config | {"block_out_channels": _vae_widths(shapes, prefix)})
        )
        return AutoencoderKL.from_single_file(str(path), config=made, local_files_only=True, torch_dtype=dtype)


def write_configs(found: CheckpointInfo, folder: Path) -> None:
    """Write the configs and the tokenizers of a single file into ``folder``, which must not be there."""
    shutil.copytree(CONFIGS / found.family, folder)
    for name, values in _told(found).items():
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | values))
    for encoder in _LAYOUTS[found.family].encoders.values():
        _write_tokenizer(folder / encoder.tokenizer, pad=encoder.pad)


def _told(found: CheckpointInfo) -> dict[str, dict[str, Any]]:
    """What a file's tensors say of its parts: config -> values in it."""
    shapes, layout = found.shapes or _pickled_shapes(found.name), _LAYOUTS[found.family]
    widths = [shapes[f"{_UNET}input_blocks.{level}.0.out_layers.3.weight"][0] for level in layout.levels]
    inner = (name for name in shapes if name.startswith(f"{_UNET}input_blocks.") and name.endswith("attn2.to_k.weight"))
    unet: dict[str, Any] = {"block_out_channels": widths, "cross_attention_dim": shapes[next(inner)][1]}
    if layout.head_width is not None:
        unet["attention_head_dim"] = [max(1, width // layout.head_width) for width in widths]
    if embedding := shapes.get(f"{_UNET}label_emb.0.0.weight"):
        unet["projection_class_embeddings_input_dim"] = embedding[1]
    # Marks that trainers of models with v-prediction write into the file.
    scheduler: dict[str, Any] = {"prediction_type": "v_prediction"} if "v_pred" in shapes else {}
    if "ztsnr" in shapes:
        scheduler["rescale_betas_zero_snr"] = True
    return {
        "unet/config.json": unet,
        "vae/config.json": {"block_out_channels": _vae_widths(shapes, _VAE)},
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
    told = {"vocab_size": shapes[own][0], "hidden_size": shapes[own][1]}
    if encoder.whole:
        told["intermediate_size"] = shapes[f"{prefix}{layers}0.{inner}.weight"][0]
        told["num_hidden_layers"] = _count(shapes, prefix + layers)
    if encoder.whole and (projection := shapes.get(f"{prefix}text_projection")):
        told["projection_dim"] = projection[1]
    return told


def _vae_widths(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> list[int]:
    return [shapes[f"{prefix}encoder.down.{n}.block.0.conv2.weight"][0] for n in range(4)]


def _pickled_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """The shapes in a ``.ckpt`` file, without its data; what is no tensor or plain value in it is refused by torch."""
    loaded = torch.load(name, map_location="meta", weights_only=True, mmap=True)
    tensors = loaded.get("state_dict", loaded)
    return {key: tuple(each.shape) for key, each in tensors.items() if isinstance(each, torch.Tensor)}


def _count(shapes: Mapping[str, Any], prefix: str) -> int:
    """How many numbered layers there are under ``prefix``."""
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
