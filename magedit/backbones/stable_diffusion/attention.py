"""Reading and injection of attention maps, in contexts that restore the UNet on exit.

Conventions: the last rows of a batch are the conditional ones, one for each result that shares the pass (one, unless
`editing` is told how many), and only these are read; only these take injected maps, all of them the same; every
row takes injected features, queries and keys. Maps are (heads, positions, keys), fp32 where they are read, and kept for
each conditional row apart.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import Tensor

from magedit.backbones.base import AttentionEdit, AttentionSite, FeatureEdit, Kept, ModuleEdit, reading
from magedit.errors import CheckpointError

_PLACE = re.compile(r"^(?P<part>down_blocks|mid_block|up_blocks)(?:\.(?P<block>\d+))?\..*\.attn(?P<kind>[12])$")


_PLAIN = AttentionEdit()


def find_sites(unet: UNet2DConditionModel, latent_side: int) -> tuple[AttentionSite, ...]:
    """The attention layers of a UNet in Stable Diffusion layout, in execution order.

    Raises:
        CheckpointError: a layer has another layout.
    """
    depth = len(unet.down_blocks)
    found: dict[str, list[AttentionSite]] = {"down_blocks": [], "mid_block": [], "up_blocks": []}
    for name, module in unet.named_modules():
        if not hasattr(module, "processor"):
            continue
        place = _PLACE.match(name)
        if (
            place is None
            or module.group_norm is not None
            or module.spatial_norm is not None
            or module.norm_cross
            or module.is_cross_attention is not (place["kind"] == "2")
        ):
            raise CheckpointError(f"attention layer {name!r} is not of Stable Diffusion's layout")
        block = int(place["block"] or 0)
        level = {"down_blocks": block, "mid_block": depth - 1, "up_blocks": depth - 1 - block}[place["part"]]
        cross, part = place["kind"] == "2", place["part"]
        # The paper reads no map of the middle block (4.2).
        site = AttentionSite(name, "cross" if cross else "self", latent_side >> level, cross and part != "mid_block")
        found[part].append(site)
    return (*found["down_blocks"], *found["mid_block"], *found["up_blocks"])


@contextmanager
def editing(unet: UNet2DConditionModel, edits: Mapping[str, ModuleEdit], rows: int = 1) -> Iterator[tuple[Kept, ...]]:
    """Apply ``edits`` (by module name) in the passes inside, whose last ``rows`` rows are conditional.

    Yields for each of these rows, in their order, name -> map of layers that are read. Every layer's processor is
    restored on every exit.
    """
    kept: tuple[Kept, ...] = tuple({} for _ in range(rows))
    with ExitStack() as stack:
        for name, edit in edits.items():
            module = _module(unet, name)
            if isinstance(edit, FeatureEdit):
                handle = module.register_forward_hook(partial(_take_feature, name, edit, kept))
                stack.callback(handle.remove)
            else:
                stack.callback(setattr, module, "processor", module.processor)
                module.processor = _Processor(name, edit, kept)
        yield kept


@contextmanager
def capturing(unet: UNet2DConditionModel, sites: Iterable[AttentionSite]) -> Iterator[Kept]:
    """Keep the maps of ``sites`` in the passes inside; yields name -> map of the last pass."""
    with editing(unet, reading(site.name for site in sites)) as (maps,):
        yield maps


@contextmanager
def own_attention(unet: UNet2DConditionModel) -> Iterator[None]:
    """Use this program's processor for plain attention in the passes inside, in place of diffusers' default one.

    Results are identical. Keys and values of a prompt are computed once for all passes with the same embedding, and the
    overhead of diffusers' wrapper is avoided.
    """
    with ExitStack() as stack:
        for name, each in unet.named_modules():
            module: Any = each
            if isinstance(getattr(module, "processor", None), AttnProcessor2_0):
                stack.callback(setattr, module, "processor", module.processor)
                module.processor = _Processor(name, _PLAIN, ({},))
        yield


def keep_map(attn: Any, hidden_states: Tensor, context: Tensor) -> None:
    """Keep the map of layer ``attn`` (after injection) without its output, if the surrounding context reads it.

    Args:
        attn: the layer.
        hidden_states: input of the queries, (batch, positions, width).
        context: input of the keys, (batch, keys, width).
    """
    if isinstance(attn.processor, _Processor):
        attn.processor.keep(attn, hidden_states, context)


def _take_feature(
    name: str, edit: FeatureEdit, kept: tuple[Kept, ...], _module: Any, _inputs: Any, output: Tensor
) -> Tensor:
    if edit.feature is None:
        _keep(name, kept, output[-len(kept) :, None])
        return output
    return edit.feature.to(output.dtype).expand_as(output)


def _keep(name: str, kept: Sequence[Kept], tensors: Iterable[Tensor]) -> None:
    """Keep each conditional row's tensor of module ``name``."""
    for maps, tensor in zip(kept, tensors, strict=True):
        maps[name] = tensor


class _Processor:
    """Attention of one layer under a `AttentionEdit`; the rows that are not conditional take the fused path."""

    def __init__(self, name: str, edit: AttentionEdit, kept: tuple[Kept, ...]) -> None:
        self.name = name
        self.edit = edit
        self.kept = kept
        self.rows = len(kept)
        # A row with a fully injected map needs neither queries nor keys.
        self.injected = edit.self_map if edit.self_map is not None else edit.base if edit.share is None else None
        self.own_queries = self.injected is None and edit.own_pair is None
        self.plain = edit is _PLAIN
        self._made: dict[str, tuple[Tensor, Tensor]] = {}
        # diffusers inspects a processor's signature in every call, which costs as much as a small product.
        self.__dict__["__call__"] = _SIGNED

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **_: Any
    ) -> Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        value = self._value(attn, hidden_states, context)
        if self.plain:
            return _out(attn, _fused(attn, *self._pair(attn, hidden_states, context), value))
        if self.edit.self_pair is not None:
            pair = self.edit.self_pair.to(value.dtype)
            rows = value.shape[0]
            return _out(attn, _fused(attn, pair[:1].expand(rows, -1, -1, -1), pair[1:].expand(rows, -1, -1, -1), value))
        others = hidden_states.shape[0] - self.rows
        first = slice(None) if self.own_queries else slice(0, others)
        query = key = None
        if self.own_queries or others:
            query = _split(attn, attn.to_q(hidden_states[first]))
            key = self._once("key", hidden_states, context, lambda: _split(attn, attn.to_k(context[first])))
        outputs = []
        if others:
            assert query is not None
            assert key is not None
            outputs.append(_fused(attn, query[:others], key[:others], value[:others]))
        if self.injected is not None:
            if self.edit.read:
                self._keep_injected(self.injected)
            outputs.append(self._carried(self.injected, hidden_states, context, value[others:]))
        elif self.edit.own_pair is not None:
            pair = self.edit.own_pair.to(value.dtype)[:, None].expand(-1, self.rows, -1, -1, -1)
            outputs.append(_fused(attn, pair[0], pair[1], value[others:]))
        else:
            assert query is not None
            assert key is not None
            outputs.append(
                self._conditional(attn, query[others:], key[others:], value[others:], hidden_states, context)
            )
        return _out(attn, torch.cat(outputs) if len(outputs) > 1 else outputs[0])

    def keep(self, attn: Any, hidden_states: Tensor, context: Tensor) -> None:
        """The map, or queries and keys, alone, if they are read."""
        rows = self.rows
        if self.edit.read_pair:
            self._keep_pairs(_split(attn, attn.to_q(hidden_states[-rows:])), _split(attn, attn.to_k(context[-rows:])))
        if not self.edit.read:
            return
        if self.injected is not None:
            self._keep_injected(self.injected)
            return
        query = _split(attn, attn.to_q(hidden_states[-rows:]))
        key = self._once("key", hidden_states, context, lambda: _split(attn, attn.to_k(context)))
        _keep(self.name, self.kept, self._maps(attn, query, key[-rows:]))

    def _pair(self, attn: Any, hidden_states: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys of all rows."""
        key = self._once("key", hidden_states, context, lambda: _split(attn, attn.to_k(context)))
        return _split(attn, attn.to_q(hidden_states)), key

    def _once(self, what: str, hidden_states: Tensor, context: Tensor, make: Callable[[], Tensor]) -> Tensor:
        """Values that depend only on the prompt's embedding, computed once for all passes with the same tensor.

        Tensors with gradients are excluded: each pass has its own graph.
        """
        if context is hidden_states:
            return make()
        kept = self._made.get(what)
        if kept is not None and kept[0] is context:
            return kept[1]
        made = make()
        if not made.requires_grad:
            self._made[what] = (context, made)
        return made

    def _value(self, attn: Any, hidden_states: Tensor, context: Tensor) -> Tensor:
        def make() -> Tensor:
            given = context
            if self.edit.values is not None:
                values = self.edit.values.to(context.dtype).expand(self.rows, -1, -1)
                given = torch.cat([context[: -self.rows], values])
            return _split(attn, attn.to_v(given))

        return self._once("value", hidden_states, context, make)

    def _carried(self, given: Tensor, hidden_states: Tensor, context: Tensor, value: Tensor) -> Tensor:
        """The source's map ``given`` (heads, N, K) applied to the conditional rows' values.

        One product for all rows, so that the map is not repeated as in `matmul`.
        """
        return self._once(
            "carried",
            hidden_states,
            context,
            lambda: torch.einsum("hnk,rhkw->rhnw", given.to(value.dtype), value),
        )

    def _conditional(
        self, attn: Any, query: Tensor, key: Tensor, value: Tensor, hidden_states: Tensor, context: Tensor
    ) -> Tensor:
        edit = self.edit
        if edit.read_pair:
            self._keep_pairs(query, key)
        if edit.read:
            probabilities = self._maps(attn, query, key)
            _keep(self.name, self.kept, probabilities)
            out: Tensor = probabilities.to(value.dtype) @ value
            return out
        if edit.base is None or edit.share is None:
            return _fused(attn, query, key, value)
        # (base + share * A) V = base V + A (share V): the layer's own map is never formed.
        own = _fused(attn, query, key, edit.share.to(value.dtype)[:, None] * value)
        return own + self._carried(edit.base, hidden_states, context, value)

    def _keep_injected(self, injected: Tensor) -> None:
        _keep(self.name, self.kept, [injected] * self.rows)

    def _keep_pairs(self, query: Tensor, key: Tensor) -> None:
        _keep(self.name, self.kept, torch.stack([query, key], dim=1))

    def _maps(self, attn: Any, query: Tensor, key: Tensor) -> Tensor:
        """The maps (rows, heads, positions, keys) after injection, fp32."""
        # Scale the queries, which are smaller than the scores.
        own: Tensor = ((query.float() * attn.scale) @ key.float().transpose(-1, -2)).softmax(dim=-1)
        if self.edit.base is None or self.edit.share is None:
            return own
        return torch.addcmul(self.edit.base, self.edit.share, own)


class _Signed:
    """Stand-in for a bound `_Processor.__call__` with its signature precomputed."""

    __signature__ = inspect.signature(_Processor.__call__)

    def __call__(self) -> None:
        raise TypeError("call the processor itself")


_SIGNED = _Signed()


def _module(unet: torch.nn.Module, name: str) -> Any:
    """A faster `get_submodule`, which costs as much as a small layer."""
    module: Any = unet
    for part in name.split("."):
        module = getattr(module, part)
    return module


def _split(attn: Any, tensor: Tensor) -> Tensor:
    """(batch, positions, heads * width) -> (batch, heads, positions, width)."""
    batch, positions, _ = tensor.shape
    return tensor.view(batch, positions, attn.heads, -1).transpose(1, 2)


def _out(attn: Any, heads: Tensor) -> Tensor:
    """The layer's output from (batch, heads, positions, width)."""
    out: Tensor = attn.to_out[0](heads.transpose(1, 2).flatten(2))
    return out if attn.rescale_output_factor == 1 else out / attn.rescale_output_factor


def _fused(attn: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value, scale=attn.scale)
