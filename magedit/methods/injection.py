"""Schedules of injected attention and features: Prompt-to-Prompt (arXiv 2208.01626, 4), PnP (arXiv 2211.12572, 4).

Prompt-to-Prompt's refine, replace, their step windows and the equalizer are all of one form: with A_s the source's map
and A the edit's own, the injected map is ``A_s[mapped] * take + share * A``, where ``take`` and ``share`` are vectors
over the target's tokens. That form is what `magedit.backbones.stable_diffusion.attention` computes.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from magedit.backbones.stable_diffusion.attention import Edit, FeatureEdit, Layer, LayerEdit
from magedit.config import EditConfig
from magedit.errors import CheckpointError
from magedit.prompts.alignment import Encoded, align, replacement_matrix, token_indices


@dataclass(frozen=True)
class Injection:
    """The injection of one edit. Vectors are over ``length`` target tokens.

    ``mapping`` spreads a source map over the target's tokens: (source tokens, target tokens), or, where each target
    token has one source token, that token's index (target tokens); ``taken`` is 1 where the
    source's map replaces the edit's (refine: aligned tokens; replace: all), ``until`` the step at which each token's
    window closes, ``weights`` the equalizer.
    """

    layers: tuple[Layer, ...]
    mapping: Tensor
    taken: Tensor
    until: Tensor
    weights: Tensor
    self_until: int
    self_max_positions: int

    @classmethod
    def between(
        cls,
        source: tuple[str, Encoded],
        target: tuple[str, Encoded],
        length: int,
        layers: tuple[Layer, ...],
        config: EditConfig,
        device: torch.device,
        *,
        own: Collection[int] = (),
    ) -> Injection:
        """The injection from ``source`` to ``target`` prompt (text and tokens) under ``config``.

        ``own`` are target tokens that keep their own maps throughout.

        Raises:
            WordNotFound: `cross_replace_words` or `equalizer` name a word that the target lacks, or `replace` meets
                prompts with different numbers of words.
        """
        if config.injection == "refine":
            alignment = align(source[1].ids, target[1].ids, length)
            # A token without counterpart is not taken: which one stands for it does not matter.
            mapping = torch.tensor([max(k, 0) for k in alignment.mapper])
            taken = torch.tensor(alignment.alpha)
        else:
            mapping = torch.tensor(replacement_matrix(source[0], target[0], source[1], target[1], length))
            taken = torch.ones(length)
        until = torch.full((length,), config.cross_replace_until(config.cross_replace))
        for word, fraction in config.cross_replace_words.items():
            until[list(token_indices(*target, word, field="cross_replace_words"))] = config.cross_replace_until(
                fraction
            )
        until[list(own)] = 0
        weights = torch.ones(length)
        for word, factor in config.equalizer.items():
            weights[list(token_indices(*target, word, field="equalizer"))] = factor
        return cls(
            layers=layers,
            mapping=mapping.to(device),
            taken=taken.to(device),
            until=until.to(device),
            weights=weights.to(device),
            self_until=config.self_replace_until,
            self_max_positions=config.self_replace_max_positions,
        )

    def key(self, step: int) -> Hashable:
        """What tells the injections of one edit's results apart at ``step``: those with equal keys inject the same.

        So do a word that keeps its own maps and one that the source has no map for.
        """
        return tuple(torch.cat(self._weights(step)).tolist())

    def sources(self, step: int) -> tuple[Layer, ...]:
        """The layers whose source maps are injected at ``step``, in execution order; empty behind all windows."""
        cross = bool((step < self.until).any())
        return tuple(layer for layer in self.layers if (cross if layer.cross else self._takes_self(layer, step)))

    def captures(self, step: int) -> dict[str, LayerEdit]:
        """What the source's pass keeps at ``step``, by module name."""
        return {layer.name: LayerEdit(read=True) for layer in self.sources(step)}

    def edits(self, step: int, maps: Mapping[str, Tensor], read: Collection[str]) -> dict[str, LayerEdit]:
        """What happens to each layer at ``step``, given the source's ``maps``; the layers in ``read`` are kept."""
        take, share = self._weights(step)
        mixed = share if bool(share.any()) else None
        edits = {name: LayerEdit(read=True) for name in read}
        for layer in self.sources(step):
            if layer.cross:
                edits[layer.name] = LayerEdit(
                    base=self._spread(maps[layer.name]) * take, share=mixed, read=layer.name in read
                )
            else:
                edits[layer.name] = LayerEdit(self_map=maps[layer.name])
        return edits

    def _weights(self, step: int) -> tuple[Tensor, Tensor]:
        """Of each token's injected map at ``step``: the factors of the source's map and of its own."""
        window = (step < self.until).float()
        return window * self.taken * self.weights, window * (1 - self.taken) * self.weights + (1 - window)

    def _spread(self, source: Tensor) -> Tensor:
        """A source map (heads, positions, source tokens) over the target's tokens."""
        if self._is_one_to_one:
            return source
        return source[:, :, self.mapping] if self.mapping.dim() == 1 else source @ self.mapping

    @cached_property
    def _is_one_to_one(self) -> bool:
        """Whether each token stands in the place of its own, as where words are exchanged one for one."""
        return self.mapping.dim() == 1 and bool((self.mapping.diff() == 1).all()) and int(self.mapping[0]) == 0

    def _takes_self(self, layer: Layer, step: int) -> bool:
        return step < self.self_until and layer.positions <= self.self_max_positions


@dataclass(frozen=True)
class FeatureInjection:
    """PnP's injection: ``feature`` (a convolution's name) takes the source's output, ``layers`` its queries and keys.

    Queries and keys in place of the maps that they give: a map of the largest layer would be 4096 x 4096 a head.
    """

    feature: str
    layers: tuple[Layer, ...]
    feature_until: int
    self_until: int

    @classmethod
    def of(cls, unet: UNet2DConditionModel, layers: tuple[Layer, ...], config: EditConfig) -> FeatureInjection:
        """PnP's layers by their place: in the first up block with attention the residual of the second ResNet block,
        and the self attention of all up blocks from that block's second attention on (4 to 11 of SD's decoder).

        Raises:
            CheckpointError: the UNet's up blocks have no two attention layers.
        """
        blocks = [n for n, block in enumerate(unet.up_blocks) if len(getattr(block, "attentions", None) or ()) > 1]
        if not blocks:
            raise CheckpointError("the UNet has no up block with two attention layers: PnP has nothing to inject into")
        first = f"up_blocks.{blocks[0]}."
        decoder = [layer for layer in layers if not layer.cross and layer.name.startswith("up_blocks")]
        chosen = tuple(layer for layer in decoder if not layer.name.startswith(f"{first}attentions.0."))
        return cls(f"{first}resnets.1.conv2", chosen, config.feature_replace_until, config.self_replace_until)

    def key(self, step: int) -> Hashable:
        """As `Injection.key`; no result's features differ from another's."""
        return step < self.feature_until, step < self.self_until

    def sources(self, step: int) -> tuple[Layer, ...]:
        """The layers that the source's pass must reach at ``step``; empty behind all windows."""
        if step < self.self_until:
            return self.layers
        return self.layers[:1] if step < self.feature_until else ()

    def captures(self, step: int) -> dict[str, Edit]:
        """What the source's pass keeps at ``step``, by module name."""
        kept: dict[str, Edit] = {self.feature: FeatureEdit()} if step < self.feature_until else {}
        if step < self.self_until:
            kept |= {layer.name: LayerEdit(read_pair=True) for layer in self.layers}
        return kept

    def edits(self, step: int, maps: Mapping[str, Tensor], read: Collection[str]) -> dict[str, Edit]:
        """What happens to each module at ``step``, given what was kept; the cross-attention layers in ``read`` are
        kept."""
        edits: dict[str, Edit] = {name: LayerEdit(read=True) for name in read}
        if step < self.feature_until:
            edits[self.feature] = FeatureEdit(maps[self.feature])
        if step < self.self_until:
            edits |= {layer.name: LayerEdit(self_pair=maps[layer.name]) for layer in self.layers}
        return edits
