"""The parts of a single-file checkpoint: the shipped configs, with the widths that the file's own tensors have."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from tempfile import TemporaryDirectory
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline

from magedit.backbones.inspect import CheckpointInfo
from magedit.backbones.tensor_files import safetensors_shapes
from magedit.errors import CheckpointError

CONFIGS = Path(__file__).parent
_LEVELS = (1, 4, 7, 10)
"""First input block of each of the UNet's resolutions."""

_UNET, _VAE = "model.diffusion_model.", "first_stage_model."
_TEXT = {"sd1": "cond_stage_model.transformer.text_model.embeddings.", "sd2": "cond_stage_model.model."}


def load_parts(found: CheckpointInfo, dtype: torch.dtype) -> dict[str, Any]:
    """The parts of a supported single file as `magedit.pipelines.mag_edit.MAGEditPipeline` takes them.

    Raises:
        CheckpointError: the file does not hold what its keys promise.
    """
    with TemporaryDirectory() as made:
        folder = Path(made) / "config"
        try:
            write_configs(found, folder)
            pipe = StableDiffusionPipeline.from_single_file(
                found.name,
                config=str(folder),
                local_files_only=True,
                torch_dtype=dtype,
                safety_checker=None,
                feature_extractor=None,
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
    """Write the configs and the tokenizer of a single file into ``folder``, which must not be there."""
    shutil.copytree(CONFIGS / found.family, folder)
    for part, values in _widths(found).items():
        path = folder / part / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))
    _write_tokenizer(folder / "tokenizer", pad="!" if found.family == "sd2" else "<|endoftext|>")


def _widths(found: CheckpointInfo) -> dict[str, dict[str, Any]]:
    """What the tensors' shapes say of the sizes of the parts."""
    shapes, text = found.shapes or _pickled_shapes(found.name), _TEXT[found.family]
    widths = [shapes[f"{_UNET}input_blocks.{level}.0.out_layers.3.weight"][0] for level in _LEVELS]
    hidden = shapes[f"{text}token_embedding.weight"]
    encoder = {"vocab_size": hidden[0], "hidden_size": hidden[1]}
    if found.family == "sd1":
        layers = "cond_stage_model.transformer.text_model.encoder.layers."
        encoder["intermediate_size"] = shapes[f"{layers}0.mlp.fc1.weight"][0]
        encoder["num_hidden_layers"] = _count(shapes, layers)
    return {
        "unet": {
            "block_out_channels": widths,
            "cross_attention_dim": shapes[f"{_UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"][1],
        },
        "vae": {"block_out_channels": _vae_widths(shapes, _VAE)},
        "text_encoder": encoder,
    }


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
