"""Records ratios and attention shares of the edit words at each measured step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from magedit.guidance.constraints import measure
from magedit.guidance.descent import Guided
from magedit.measures.report import StepTrace
from magedit.methods.base import EditedLatent, EditTask


class Watch:
    """Collects the trace of one edit. Every method reads the guidance layers' maps in its own sampling passes."""

    def __init__(self, task: EditTask) -> None:
        self._task = task
        self._sides = {site.name: site.side for site in task.guidance_sites}
        self._trace: list[StepTrace] = []
        self._shares: list[tuple[Tensor, ...]] = []

    def reads(self, step: int) -> tuple[str, ...]:
        """The layers whose maps the sampling pass of ``step`` keeps."""
        config = self._task.config
        if step - config.skipped_steps >= config.measured_steps or not self._task.words:
            return ()
        return tuple(self._sides)

    def record(self, step: int, timestep: float, maps: Mapping[str, Tensor], guided: Guided | None = None) -> None:
        """Record a step's maps, layer name -> (heads, positions, keys), if the step is measured."""
        if not self.reads(step):
            return
        task = self._task
        maps = {name: maps[name] for name in self._sides}
        after = measure(maps, self._sides, task.words, task.regions, task.config.denominator)
        self._shares.append(self._regions(maps))
        trace = StepTrace(
            step=step,
            timestep=round(timestep),
            iterations=guided.updates if guided else 0,
            losses=guided.losses if guided else (),
            before=guided.before if guided else after,
            after=after,
        )
        self._trace.append(trace)
        if task.on_trace is not None:
            task.on_trace(trace)

    def edited(self, latent: Tensor, source: Tensor, mask: Tensor | None = None) -> EditedLatent:
        """The finished edit: ``latent`` with the recorded trace."""
        mean = tuple(torch.stack(shares).mean(0) for shares in zip(*self._shares, strict=True))
        return EditedLatent(latent, source, tuple(self._trace), mean, tuple(self._shares), mask)

    def _regions(self, maps: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Each region's word share per position, mean over layers, heads and words, (side, side); 0 without words."""
        side = self._task.guidance_sites[0].side
        mean = torch.stack([m.mean(0) / m.mean(0).sum(-1, keepdim=True) for m in maps.values()]).mean(0)
        shares = []
        for region in range(self._task.regions):
            words = [w for w in self._task.words if w.region == region and not w.negative]
            share = mean.new_zeros(len(mean))
            if words:
                share = torch.stack([mean[:, list(w.tokens)].mean(-1) for w in words]).mean(0)
            shares.append(share.reshape(side, side))
        return tuple(shares)
