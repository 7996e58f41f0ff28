"""A checkpoint's backbone from its configs alone: shapes without weights."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import diffusers
import torch
import transformers
from torch import nn
from transformers import BatchEncoding

from magedit.backbones.base import Backbone
from magedit.backbones.checkpoints.inspect import CheckpointInfo
from magedit.backbones.checkpoints.single_file.loader import write_configs
from magedit.backbones.loading import naming
from magedit.backbones.registry import ADAPTERS
from magedit.errors import CheckpointError

_LIBRARIES: dict[str, Any] = {"diffusers": diffusers, "transformers": transformers}
_LEFT_OUT = frozenset({"safety_checker", "feature_extractor", "image_encoder"})
_TOKENS = 77


@dataclass(frozen=True)
class Weightless:
    """A backbone whose tensors have shapes and no data, and its modules by the name of their folder."""

    backbone: Backbone
    modules: dict[str, nn.Module]


def weightless(found: CheckpointInfo, dtype: torch.dtype) -> Weightless:
    """The backbone of an inspected checkpoint on torch's meta device; its weights need not exist.

    Raises:
        CheckpointError: its family has no adapter, or a config is missing.
    """
    load = ADAPTERS.get(found.family)
    if load is None:
        raise CheckpointError(found.sentence)
    adapter = load()
    with TemporaryDirectory() as made, naming(found):
        folder = found.configs
        if folder is None:
            folder = Path(made) / "config"
            write_configs(found, folder)
        index = json.loads((folder / "model_index.json").read_text())
        parts = {
            name: _part(folder, name, value[0], value[1], dtype)
            for name, value in index.items()
            if isinstance(value, list) and len(value) == 2 and value[0] is not None
            if name not in _LEFT_OUT and name not in found.left_out
        }
        known = inspect.signature(adapter).parameters
        keys = {name: value for name, value in index.items() if name in known and not isinstance(value, list)}
        backbone = adapter(**(keys | parts))
    return Weightless(backbone, {name: part for name, part in parts.items() if isinstance(part, nn.Module)})


def _part(folder: Path, name: str, library: str, kind: str, dtype: torch.dtype) -> Any:
    if name.startswith("tokenizer"):
        return _AnyTokenizer()
    if library not in _LIBRARIES:
        raise ValueError(f"its part {name!r} names the unknown library {library!r}")
    made = getattr(_LIBRARIES[library], kind)
    if name == "scheduler":
        return made.from_pretrained(folder, subfolder=name)
    if not (folder / name / "config.json").is_file():  # some transformers classes provide defaults
        raise OSError(f"its part {name!r} has no config.json")
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device("meta"):
            if library == "transformers":
                config = made.config_class.from_pretrained(folder, subfolder=name)
                return made._from_config(config, dtype=dtype).eval()
            return made.from_config(made.load_config(folder, subfolder=name)).eval()
    finally:
        torch.set_default_dtype(before)


class _AnyTokenizer:
    """Stand-in for a tokenizer where only the number of tokens matters."""

    model_max_length = _TOKENS
    pad_token = eos_token = bos_token = ""
    eos_token_id = pad_token_id = bos_token_id = 0

    def get_vocab(self) -> dict[str, int]:
        return {}

    def __call__(self, _prompt: Any, *, max_length: int | None = None, **_: Any) -> BatchEncoding:
        shape = (1, max_length or self.model_max_length)
        return BatchEncoding(
            {
                "input_ids": torch.zeros(shape, dtype=torch.long, device="meta"),
                "attention_mask": torch.ones(shape, dtype=torch.long, device="meta"),
            }
        )
