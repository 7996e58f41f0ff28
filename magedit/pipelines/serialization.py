"""An inversion as bytes: safetensors, float32, with a checksum of its own."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from magedit.backbones.base import Conditioning
from magedit.config import EditConfig
from magedit.images.masks import Box
from magedit.inversion.base import Inverted
from magedit.pipelines.output import Inversion

_LATENTS, _UNCONDITIONAL, _EXACT, _CHECKSUM = "latents", "unconditional", "exact", "sha256"
_VALUES, _SAMPLED = "values", "sampled"
_POOLED, _EXTRA = "unconditional.pooled", "unconditional.extra."


def dump(inverted: Inverted) -> bytes:
    """The trajectory: ``latents`` (T + 1, C, h, w), ``unconditional`` (T or 1, tokens, width), whether it is exact;
    ``values`` (T, tokens, width), ``sampled`` (T + 1, C, h, w) and what else the unconditional consists of, if any."""
    first = inverted.unconditional[0]
    one = all(each is first for each in inverted.unconditional)
    told = first if one else Conditioning.cat(inverted.unconditional)
    tensors = {
        _LATENTS: torch.cat(inverted.latents),
        _UNCONDITIONAL: told.hidden_states,
        _EXACT: torch.tensor([inverted.exact], dtype=torch.uint8),
    }
    for name, more in ((_VALUES, inverted.values), (_SAMPLED, inverted.sampled)):
        if more:
            tensors[name] = torch.cat(more)
    tensors |= {_EXTRA + name: each for name, each in told.extra.items()}
    if told.pooled is not None:
        tensors[_POOLED] = told.pooled
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
    extra = {name.removeprefix(_EXTRA): name for name in tensors if name.startswith(_EXTRA)}
    if (
        set(tensors) - {_VALUES, _SAMPLED, _POOLED, *extra.values()} != {_LATENTS, _UNCONDITIONAL, _EXACT}
        or checksum is None
    ):
        raise ValueError("no stored inversion: parts are missing")
    if not torch.equal(checksum, _checksum(tensors)):
        raise ValueError("no stored inversion: its checksum does not match")
    latents, unconditional = tensors[_LATENTS], tensors[_UNCONDITIONAL]
    if latents.shape[0] != config.steps + 1 or unconditional.shape[0] not in {1, config.steps}:
        raise ValueError(f"the stored inversion has {latents.shape[0] - 1} steps, not {config.steps}")

    def each_of(name: str) -> tuple[Tensor, ...]:
        # Copies, each aligned as a fresh tensor is: kernels may round by alignment.
        return tuple(each.clone() for each in tensors[name].split(1)) if name in tensors else ()

    told = tuple(
        Conditioning(
            states, each_of(_POOLED)[n] if _POOLED in tensors else None, {k: each_of(v)[n] for k, v in extra.items()}
        )
        for n, states in enumerate(each_of(_UNCONDITIONAL))
    )
    inverted = Inverted(
        latents=each_of(_LATENTS),
        unconditional=told * config.steps if len(told) == 1 else told,
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
