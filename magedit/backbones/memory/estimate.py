"""Memory estimate of a checkpoint from its tensors' shapes."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from magedit.backbones.base import AttentionEdit, Backbone, Conditioning, ModuleEdit, frozen, pair_name
from magedit.backbones.memory.weightless import Weightless
from magedit.config import EditConfig

_PROMPT, _TIMESTEP = "a", 500
"""Prompt and timestep of the traced pass; any other takes the same memory."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of the ``weights`` by part, and the additional peaks of a guided step and of decoding one picture.

    ``low_guidance`` is the guided step in low-memory mode. The allocator's cache and the device's libraries are not
    counted.
    """

    weights: Mapping[str, int]
    network: str
    guidance: int
    low_guidance: int
    decoding: int

    @property
    def whole(self) -> int:
        """All weights, and the larger of guidance and decoding."""
        return sum(self.weights.values()) + max(self.guidance, self.decoding)

    @property
    def low(self) -> int:
        """Peak in low-memory mode (`magedit.backbones.memory.low_memory`): the largest part while it computes."""
        turns = dict(self.weights)
        turns[self.network] += self.low_guidance
        turns["vae"] += self.decoding
        return max(turns.values())


def count(empty: Weightless) -> Memory:
    """Estimate the memory of a weightless checkpoint, for one result.

    Traces a guided Prompt-to-Prompt step operation by operation and takes the peak of live bytes, assuming torch's
    fused attention kernels.
    """
    backbone, modules = empty.backbone, empty.modules
    weights = {name: sum(_bytes(each) for each in part.parameters()) for name, part in modules.items()}
    network = next(name for name, part in modules.items() if part is backbone.network)
    guidance = _guidance(backbone, modules.values())
    backbone.network.enable_gradient_checkpointing()
    low = _guidance(backbone, modules.values())
    vae: Any = modules["vae"]
    latent = _latent(backbone, vae).to(vae.dtype)
    with torch.no_grad(), _Alive(modules.values()) as decoding, _fused_attention():
        vae.decode(latent)
    return Memory(weights=weights, network=network, guidance=guidance, low_guidance=low, decoding=decoding.peak)


def _latent(backbone: Backbone, vae: Any) -> Tensor:
    side = backbone.latent_side
    return torch.zeros(1, int(vae.config.latent_channels), side, side, device=backbone.execution_device)


def _guidance(backbone: Backbone, modules: Iterable[nn.Module]) -> int:
    """Peak bytes beyond the weights in a guided step: the source's pass, whose maps are kept, a truncated pass with
    injection, and its backward pass."""
    latent = _latent(backbone, next(each for each in modules if hasattr(each, "decode")))
    with torch.no_grad():
        prompt = backbone.encode(_PROMPT)
    with _Alive(modules) as alive, _fused_attention(), frozen(backbone.network), backbone.own_attention():
        with torch.no_grad():
            edits = _injected(backbone, latent, prompt)
        latent = latent.requires_grad_(True)
        with torch.enable_grad(), backbone.editing(edits, 1) as (maps,):
            backbone.attend(latent, _TIMESTEP, prompt, backbone.guidance_sites[-1])
            losses = [maps[site.name].square().sum() for site in backbone.guidance_sites]
            torch.autograd.grad(torch.stack(losses).sum(), latent)
    peak: int = alive.peak
    return peak


def _injected(backbone: Backbone, latent: Tensor, prompt: Conditioning) -> dict[str, ModuleEdit]:
    """The injection of Prompt-to-Prompt's defaults, from a pass of the source."""
    largest, read = EditConfig().self_replace_max_positions, {site.name for site in backbone.guidance_sites}
    taken = [site for site in backbone.sites if site.kind != "self" or site.positions <= largest]
    captures: dict[str, ModuleEdit] = {}
    for site in taken:
        pair = site.kind == "joint" or (site.kind == "self" and site.paired)
        captures[site.name] = AttentionEdit(
            read=site.kind != "self" or not pair, read_pair=pair, rounded=site.kind == "joint"
        )
    with backbone.editing(captures, 1) as (source,):
        backbone.attend(latent, _TIMESTEP, prompt, taken[-1])
    share = latent.new_zeros(backbone.text_columns)
    edits: dict[str, ModuleEdit] = {}
    for site in taken:
        if site.kind == "self":
            kept = source[site.name]
            edits[site.name] = AttentionEdit(own_pair=kept) if site.paired else AttentionEdit(self_map=kept)
            continue
        edit = AttentionEdit(share=share, read=site.name in read)
        if site.kind == "joint":
            columns = torch.zeros(backbone.text_columns, dtype=torch.long, device=share.device)
            edit = replace(
                edit,
                base=source[site.name],
                columns=columns,
                take=share,
                own_pair=source[pair_name(site.name)],
            )
        else:
            edit = replace(edit, base=source[site.name] * share)
        edits[site.name] = edit
    return edits


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


class _Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of live tensors created inside; ``peak`` is their maximum."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now, self.peak = 0, 0
        # Keyed by address, which is unique while the storage is alive.
        self._known: dict[int, Any] = {}
        for module in modules:
            for each in (*module.parameters(), *module.buffers()):
                self._known[each.untyped_storage()._cdata] = each

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for each in tree_iter(made):
            if isinstance(each, Tensor):
                self._count(each.untyped_storage())
        return made

    def _count(self, storage: Any) -> None:
        address, size = storage._cdata, storage.nbytes()
        if address in self._known:
            return
        self._known[address] = weakref.ref(storage, lambda _: self._gone(address, size))
        self.now += size
        self.peak = max(self.peak, self.now)

    def _gone(self, address: int, size: int) -> None:
        self._known.pop(address, None)
        self.now -= size


@contextmanager
def _fused_attention() -> Iterator[None]:
    """Attention of meta tensors as a fused kernel would compute it, without a map; torch does not do this for meta
    tensors."""
    own = F.scaled_dot_product_attention

    def attention(query: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if query.device.type != "meta":
            return own(query, *args, **kwargs)
        fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        out: Tensor = fused(query, *args[:2], attn_mask=kwargs.get("attn_mask"), scale=kwargs.get("scale"))[0]
        return out

    F.scaled_dot_product_attention = attention
    try:
        yield
    finally:
        F.scaled_dot_product_attention = own
