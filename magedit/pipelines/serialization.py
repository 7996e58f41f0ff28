"""An inversion as bytes: safetensors, float32, with a checksum of its own."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from magedit.config import EditConfig
from magedit.images.masks import Box
from magedit.inversion.base import Inverted
from magedit.pipelines.output import Inversion

_LATENTS, _UNCONDITIONAL, _EXACT, _CHECKSUM = "latents", "unconditional", "exact", "sha256"
_VALUES, _SAMPLED = "values", "sampled"


def dump(inverted: Inverted) -> bytes:
    """The trajectory: ``latents`` (T + 1, C, h, w), ``unconditional`` (T or 1, tokens, width), whether it is exact;
    ``values`` (T, tokens, width) and ``sampled`` (T + 1, C, h, w) if there are any."""
    one = all(each is inverted.unconditional[0] for each in inverted.unconditional)
    tensors = {
        _LATENTS: torch.cat(inverted.latents),
        _UNCONDITIONAL: inverted.unconditional[0] if one else torch.cat(inverted.unconditional),
        _EXACT: torch.tensor([inverted.exact], dtype=torch.uint8),
    }
    for name, more in ((_VALUES, inverted.values), (_SAMPLED, inverted.sampled)):
        if more:
            tensors[name] = torch.cat(more)
    tensors = {name: each.detach().cpu().contiguous() for name, each in tensors.items()}
    data: bytes = save({**tensors, _CHECKSUM: _checksum(tensors)})
    return data


def parse(data: bytes, *, box: Box, image_size: tuple[int, int], source_prompt: str, config: EditConfig) -> Inversion:
    """The inversion whose trajectory `dump` wrote, of the crop, prompt and settings that the caller knows it was for.

    Raises:
        ValueError: the bytes are damaged, cut off, or no trajectory of ``config.steps`` steps.
    """
    try:
        tensors: dict[str, Any] = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ValueError("no stored inversion: the bytes are damaged") from error
    checksum = tensors.pop(_CHECKSUM, None)
    if set(tensors) - {_VALUES, _SAMPLED} != {_LATENTS, _UNCONDITIONAL, _EXACT} or checksum is None:
        raise ValueError("no stored inversion: parts are missing")
    if not torch.equal(checksum, _checksum(tensors)):
        raise ValueError("no stored inversion: its checksum is another")
    latents, unconditional = tensors[_LATENTS], tensors[_UNCONDITIONAL]
    if latents.shape[0] != config.steps + 1 or unconditional.shape[0] not in {1, config.steps}:
        raise ValueError(f"the stored inversion has {latents.shape[0] - 1} steps, not {config.steps}")

    def each_of(name: str) -> tuple[Tensor, ...]:
        # Copies, each aligned as a fresh tensor is: kernels may round by alignment.
        return tuple(each.clone() for each in tensors[name].split(1)) if name in tensors else ()

    embeddings = each_of(_UNCONDITIONAL)
    inverted = Inverted(
        latents=each_of(_LATENTS),
        unconditional=embeddings * config.steps if len(embeddings) == 1 else embeddings,
        exact=bool(tensors[_EXACT].item()),
        values=each_of(_VALUES),
        sampled=each_of(_SAMPLED),
    )
    return Inversion(inverted, box, image_size, source_prompt, config)


def _checksum(tensors: dict[str, Tensor]) -> Tensor:
    digest = sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].numpy().tobytes())
    return torch.tensor(list(digest.digest()), dtype=torch.uint8)
