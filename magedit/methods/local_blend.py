"""LocalBlend (Prompt-to-Prompt, arXiv 2208.01626, section 5, local editing): the edit is confined to where its words
attend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

START = 0.2
"""Leading fraction of the steps whose maps are only collected (published program: 0.2)."""


class LocalBlend:
    """The words' maps of all steps so far, of source and edit, and the mask that they give.

    ``source`` and ``target`` are the words' token indices in the two prompts; a prompt without any has no mask.
    ``threshold`` is a share of the maps' maximum.
    """

    def __init__(self, source: Sequence[int], target: Sequence[int], threshold: float, steps: int) -> None:
        self._tokens = (list(source), list(target))
        self._threshold = threshold
        self._start = int(START * steps)
        self._sums: list[Tensor | float] = [0.0, 0.0]

    def add(self, source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
        """Add a step's maps, layer name -> (heads, positions, keys), all of one resolution."""
        for n, maps in enumerate((source, target)):
            words = [m[:, :, self._tokens[n]].float().sum(-1).mean(0) for m in maps.values()]
            self._sums[n] = self._sums[n] + torch.stack(words).mean(0)

    def mask(self, side: int) -> Tensor:
        """The mask of the source's and the target's words, (side, side) of 0 and 1; dilated by 3x3 at the maps'
        size."""
        found = torch.zeros(side, side)
        for tokens, total in zip(self._tokens, self._sums, strict=True):
            if tokens and isinstance(total, Tensor):
                size = round(total.numel() ** 0.5)
                pooled = F.max_pool2d(total.reshape(1, 1, size, size), 3, stride=1, padding=1)
                shares = F.interpolate(pooled / pooled.max(), (side, side))[0, 0]
                found = torch.maximum(found.to(shares.device), (shares > self._threshold).float())
        return found

    def blend(self, step: int, latent: Tensor, source: Tensor) -> Tensor:
        """The edit's latent inside the mask, the source's outside; the edit's alone in the first steps."""
        if step < self._start:
            return latent
        mask = self.mask(latent.shape[-1])
        return mask * latent + (1 - mask) * source
