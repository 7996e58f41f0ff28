"""Joint attention of picture and text, with the injections of edits and the words' maps.

The full attention map is never materialised: fused attention gives the output, and the words' map follows from each
picture row's log-sum-exp over all keys and its scores for the text columns. The last rows of a batch are the
conditional ones; only these are read and receive injected columns and queries. The text's own rows are left unchanged:
injecting there is unstable (arXiv 2510.17803).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from magedit.backbones.base import AttentionEdit, AttentionSite, Kept, ModuleEdit, pair_name

SCORES = 2**24
"""Maximum number of scores in memory while computing their log-sum-exp."""


MakeProcessor = Callable[[AttentionSite, AttentionEdit, tuple[Kept, ...]], Any]
"""(layer, edit, tensors kept for the conditional rows) -> the attention processor that applies the edit."""


@contextmanager
def editing(
    network: Any, sites: Sequence[AttentionSite], edits: Mapping[str, ModuleEdit], rows: int, make: MakeProcessor
) -> Iterator[tuple[Kept, ...]]:
    """As `magedit.backbones.base.Backbone.editing`, with processors from ``make``; each layer's own is restored on
    every exit."""
    kept: tuple[Kept, ...] = tuple({} for _ in range(rows))
    known = {site.name: site for site in sites}
    with ExitStack() as stack:
        for name, edit in edits.items():
            module = network.get_submodule(name)
            assert isinstance(edit, AttentionEdit)
            stack.callback(setattr, module, "processor", module.processor)
            module.processor = make(known[name], edit, kept)
        yield kept


@dataclass(frozen=True)
class Projected:
    """Queries, keys and values of the picture's positions and of the text's, each (batch, heads, n, width)."""

    query: Tensor
    key: Tensor
    value: Tensor
    text_query: Tensor
    text_key: Tensor
    text_value: Tensor

    def rows(self, chosen: slice) -> Projected:
        """The same for some rows of the batch."""
        return Projected(*(each[chosen] for each in vars(self).values()))


def attend(projected: Projected, name: str, edit: AttentionEdit, kept: Sequence[Kept]) -> tuple[Tensor, Tensor]:
    """The layer's output for picture and text, (batch, heads, n, width) each, under ``edit``; keeps the tensors that it
    reads."""
    rows = len(kept)
    keep(projected, name, edit, kept)
    if edit.base is None and edit.own_pair is None:
        return _plain(projected)
    others = len(projected.query) - rows
    image, text = _edited(projected.rows(slice(others, None)), edit)
    if others:
        plain = _plain(projected.rows(slice(0, others)))
        image, text = torch.cat([plain[0], image]), torch.cat([plain[1], text])
    return image, text


def keep(projected: Projected, name: str, edit: AttentionEdit, kept: Sequence[Kept]) -> None:
    """Keep the tensors that ``edit`` reads from layer ``name``, for each conditional row."""
    own = projected.rows(slice(len(projected.query) - len(kept), None))
    if edit.read_pair:
        for maps, query, key in zip(kept, own.query, own.key, strict=True):
            maps[pair_name(name)] = torch.stack([query, key])
    if edit.read:
        for maps, each in zip(kept, word_maps(own, edit), strict=True):
            maps[name] = each.to(own.query.dtype) if edit.rounded else each


def word_maps(own: Projected, edit: AttentionEdit) -> Tensor:
    """The text's columns of the picture's rows after injection, (rows, heads, positions, columns), fp32.

    Shares of all keys, including the picture's: a row sums to the text's share.
    """
    scale = own.query.shape[-1] ** -0.5
    query, key = own.query, own.key
    if edit.own_pair is not None:
        query, key = edit.own_pair.to(query.dtype)[:, None].expand(-1, len(query), -1, -1, -1)
    scores = (own.query.float() * scale) @ own.text_key.float().transpose(-1, -2)
    image = _log_sum_exp(query.float() * scale, key.float())
    total = torch.logaddexp(image, scores.logsumexp(-1))
    maps: Tensor = (scores - total[..., None]).exp()
    if (base := _base(edit)) is not None:
        maps = base.expand_as(maps) if edit.share is None else torch.addcmul(base, edit.share, maps)
    return maps


def _log_sum_exp(query: Tensor, key: Tensor) -> Tensor:
    """Log-sum-exp of each query's scores, (rows, heads, positions), in chunks of positions; the backward pass
    recomputes each chunk."""

    def part(some: Tensor) -> Tensor:
        return (some @ key.transpose(-1, -2)).logsumexp(-1)

    batch, heads, positions, _ = query.shape
    size = max(1, SCORES // (batch * heads * key.shape[2]))
    if size >= positions:
        return part(query)
    again = torch.is_grad_enabled()
    parts = (query[:, :, start : start + size] for start in range(0, positions, size))
    return torch.cat([checkpoint(part, each, use_reentrant=False) if again else part(each) for each in parts], -1)


def _plain(projected: Projected) -> tuple[Tensor, Tensor]:
    """Unedited, in one sequence."""
    p = projected
    out = F.scaled_dot_product_attention(
        torch.cat([p.query, p.text_query], 2), torch.cat([p.key, p.text_key], 2), torch.cat([p.value, p.text_value], 2)
    )
    positions = p.query.shape[2]
    return out[:, :, :positions], out[:, :, positions:]


def _base(edit: AttentionEdit) -> Tensor | None:
    """The source's part of an edited map, (heads, positions, columns), fp32."""
    base = edit.base
    if base is None:
        return None
    if edit.columns is not None:
        base = base[..., edit.columns]
    return base.float() if edit.take is None else base * edit.take


def _edited(own: Projected, edit: AttentionEdit) -> tuple[Tensor, Tensor]:
    """The conditional rows' output."""
    key, value = torch.cat([own.key, own.text_key], 2), torch.cat([own.value, own.text_value], 2)
    text = F.scaled_dot_product_attention(own.text_query, key, value)
    if edit.base is not None:
        # (base + share * A) V = base V + A (share V): the layer's own map is never formed.
        share = own.text_value.new_zeros(()) if edit.share is None else edit.share.to(value.dtype)[:, None]
        value = torch.cat([own.value, share * own.text_value], 2)
    width = value.shape[-1]
    query = own.query
    if edit.own_pair is not None:
        # The picture's columns have the source's queries and the text's the edit's own: side by side, each with zeros
        # where the other's keys are.
        source_query, source_key = edit.own_pair.to(query.dtype)[:, None].expand(-1, len(query), -1, -1, -1)
        query = torch.cat([source_query, query], -1)
        key = torch.cat([F.pad(source_key, (0, width)), F.pad(own.text_key, (width, 0))], 2)
        value = F.pad(value, (0, width))
    image = F.scaled_dot_product_attention(query, key, value, scale=width**-0.5)[..., :width]
    if (base := _base(edit)) is not None:
        image = image + torch.einsum("hnk,rhkw->rhnw", base.to(value.dtype), own.text_value)
    return image, text
