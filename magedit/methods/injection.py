"""Schedules of injected attention and features: Prompt-to-Prompt (arXiv 2208.01626, 4), PnP (arXiv 2211.12572, 4).

Prompt-to-Prompt's refine, replace, their step windows and the equalizer are all of one form: with A_s the source's map
and A the edit's own, the injected map is ``A_s[mapped] * take + share * A``, where ``take`` and ``share`` are vectors
over the target's tokens. That form is what `magedit.backbones.base.AttentionEdit` holds.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from magedit.backbones.base import (
    AttentionEdit,
    AttentionSite,
    Backbone,
    FeatureEdit,
    ModuleEdit,
    pair_name,
    reading,
)
from magedit.config import InjectionParameters
from magedit.prompts.alignment import Encoded, align_tokens, replacement_matrix, token_indices


@dataclass(frozen=True)
class Injection:
    """The injection of one edit. Vectors are over ``length`` target tokens.

    ``mapping`` spreads a source map over the target's tokens: (source tokens, target tokens), or, where each target
    token has one source token, that token's index (target tokens); ``taken`` is 1 where the
    source's map replaces the edit's (refine: aligned tokens; replace: all), ``until`` the step at which each token's
    window closes, ``weights`` the equalizer.
    """

    sites: tuple[AttentionSite, ...]
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
        sites: tuple[AttentionSite, ...],
        config: InjectionParameters,
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
            alignment = align_tokens(source[1], target[1], length)
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
            sites=sites,
            mapping=mapping.to(device),
            taken=taken.to(device),
            until=until.to(device),
            weights=weights.to(device),
            self_until=config.self_replace_until,
            self_max_positions=config.self_replace_max_positions,
        )

    def key(self, step: int) -> Hashable:
        """Hashable injection weights at ``step``: results with equal keys inject the same maps and can share a pass.

        A word that keeps its own maps has the weights of one without a counterpart in the source.
        """
        return tuple(torch.cat(self._weights(step)).tolist())

    def sources(self, step: int) -> tuple[AttentionSite, ...]:
        """The layers whose source maps are injected at ``step``, in execution order; empty after all windows."""
        return tuple(site for site in self.sites if self._takes_self(site, step) or self._takes_text(site, step))

    def captures(self, step: int) -> dict[str, ModuleEdit]:
        """What the source's pass keeps at ``step``, by module name."""
        return {
            site.name: AttentionEdit(
                read=(site.kind == "self" and not site.paired) or self._takes_text(site, step),
                read_pair=(site.kind == "joint" or site.paired) and self._takes_self(site, step),
                rounded=site.kind == "joint",
            )
            for site in self.sources(step)
        }

    def edits(self, step: int, maps: Mapping[str, Tensor], read: Collection[str]) -> dict[str, ModuleEdit]:
        """The edit of each layer at ``step``, given the source's ``maps``; the maps of the layers in ``read`` are
        kept."""
        take, share = self._weights(step)
        mixed = share if bool(share.any()) else None
        edits = reading(read)
        for site in self.sources(step):
            if site.kind == "self":
                kept = maps[site.name]
                edits[site.name] = AttentionEdit(own_pair=kept) if site.paired else AttentionEdit(self_map=kept)
                continue
            edit = AttentionEdit(read=site.name in read)
            if self._takes_text(site, step) and site.kind == "joint" and self.mapping.dim() == 1:
                columns = None if self._is_one_to_one else self.mapping
                edit = replace(edit, base=maps[site.name], columns=columns, take=take, share=mixed)
            elif self._takes_text(site, step):
                edit = replace(edit, base=self._spread(maps[site.name]) * take, share=mixed)
            if self._takes_self(site, step):
                edit = replace(edit, own_pair=maps[pair_name(site.name)])
            edits[site.name] = edit
        return edits

    def _weights(self, step: int) -> tuple[Tensor, Tensor]:
        """The factors, per token, of the source's map and of its own in the map injected at ``step``."""
        window = (step < self.until).float()
        return window * self.taken * self.weights, window * (1 - self.taken) * self.weights + (1 - window)

    def _spread(self, source: Tensor) -> Tensor:
        """A source map (heads, positions, source tokens) over the target's tokens."""
        if self._is_one_to_one:
            return source
        return source[:, :, self.mapping] if self.mapping.dim() == 1 else source.float() @ self.mapping

    @cached_property
    def _is_one_to_one(self) -> bool:
        """Whether each target token has the same position in the source, as where words are swapped one for one."""
        return self.mapping.dim() == 1 and bool((self.mapping.diff() == 1).all()) and int(self.mapping[0]) == 0

    def _takes_self(self, site: AttentionSite, step: int) -> bool:
        """Whether the picture's attention to itself is the source's; of joint layers, whose maps are never formed, of
        any size."""
        small = site.kind == "joint" or (site.kind == "self" and site.positions <= self.self_max_positions)
        return step < self.self_until and small

    def _takes_text(self, site: AttentionSite, step: int) -> bool:
        return site.kind != "self" and step < self._text_until

    @cached_property
    def _text_until(self) -> int:
        """The step at which the last token's window closes; cached, as reading it waits for the device."""
        return int(self.until.max())


@dataclass(frozen=True)
class FeatureInjection:
    """PnP's injection: module ``feature`` takes the source's output, ``sites`` its queries and keys.

    Queries and keys in place of the maps that they give: a map of the largest layer would be 4096 x 4096 a head.
    """

    feature: str
    sites: tuple[AttentionSite, ...]
    feature_until: int
    self_until: int

    @classmethod
    def of(cls, backbone: Backbone, config: InjectionParameters) -> FeatureInjection:
        """The injection at the model's structure layers.

        Raises:
            CheckpointError: the model has no such layers.
        """
        return cls(*backbone.structure_sites, config.feature_replace_until, config.self_replace_until)

    def key(self, step: int) -> Hashable:
        """As `Injection.key`; the features are the same for all results."""
        return step < self.feature_until, step < self.self_until

    def sources(self, step: int) -> tuple[AttentionSite, ...]:
        """The layers that the source's pass must reach at ``step``; empty after all windows."""
        if step < self.self_until:
            return self.sites
        return self.sites[:1] if step < self.feature_until else ()

    def captures(self, step: int) -> dict[str, ModuleEdit]:
        """What the source's pass keeps at ``step``, by module name."""
        kept: dict[str, ModuleEdit] = {self.feature: FeatureEdit()} if step < self.feature_until else {}
        if step < self.self_until:
            kept |= {site.name: AttentionEdit(read_pair=True) for site in self.sites}
        return kept

    def edits(self, step: int, maps: Mapping[str, Tensor], read: Collection[str]) -> dict[str, ModuleEdit]:
        """The edit of each module at ``step``, given what was kept; the maps of the cross-attention layers in ``read``
        are kept."""
        edits = reading(read)
        if step < self.feature_until:
            edits[self.feature] = FeatureEdit(maps[self.feature])
        if step < self.self_until:
            edits |= {site.name: AttentionEdit(self_pair=maps[site.name]) for site in self.sites}
        return edits
