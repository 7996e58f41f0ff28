"""Fingerprint of a loaded checkpoint's weights, equal for equal weights in any folder."""

from __future__ import annotations

import json
from hashlib import sha256

import torch
from torch import Tensor

from magedit.backbones.base import Loaded

SAMPLES = 64
"""Elements sampled evenly from each tensor in addition to its sum, so that a permutation is detected too."""

_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def fingerprint(backbone: Loaded) -> str:
    """Hex digest of the weights of network, VAE and text encoders, their number formats, tokenizer and noise schedule.

    Covers each tensor's name, shape, the exact sum of its bit patterns and `SAMPLES` elements: one pass over the
    weights on their device, instead of hashing gigabytes.
    """
    # Without padding and truncation, which depend on the last call.
    tokenizer = {**json.loads(backbone.tokenizer_json()), "padding": None, "truncation": None}
    digest = sha256(json.dumps(tokenizer, sort_keys=True).encode())
    digest.update(json.dumps(dict(backbone.noise_settings), sort_keys=True, default=str).encode())
    for part in backbone.parts:
        for name, tensor in sorted(part.state_dict().items()):
            total, samples = _read(tensor)
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {total} {samples}".encode())
    return digest.hexdigest()


def _read(tensor: Tensor) -> tuple[int, list[int]]:
    bits = tensor.detach().flatten().contiguous().view(_BITS[tensor.element_size()])
    if not bits.numel():
        return 0, []
    stride = max(1, bits.numel() // SAMPLES)
    return int(bits.sum(dtype=torch.int64)), bits[::stride][:SAMPLES].tolist()
