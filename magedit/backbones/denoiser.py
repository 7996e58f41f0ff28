"""A backbone with the noise process of one edit; counts every pass."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from torch import Tensor

from magedit.backbones.base import AttentionSite, Backbone, Conditioning, DiffusionProcess, Kept, ModuleEdit
from magedit.measures.meter import Meter


@dataclass(frozen=True)
class Denoiser:
    """A backbone at the timesteps of one edit. ``batch_results`` limits the number of results that share a pass."""

    backbone: Backbone
    process: DiffusionProcess
    meter: Meter
    batch_results: int = 1

    def predict(
        self, latents: Tensor, timestep: float, conditioning: Conditioning, *, inverting: bool = False, results: int = 1
    ) -> Tensor:
        """The prediction (B, C, h, w) that `DiffusionProcess.step` takes.

        ``inverting``: the latents are still at the noise level of the timestep that follows (`invert_step`);
        ``results`` how many share the batch, a pass each (`magedit.measures.passes`).
        """
        told, level = timestep, timestep
        if inverting:
            told, level = self.process.inversion_timestep(timestep), self.process.following(timestep)
        output = self.backbone.predict(latents, told, conditioning)
        self.meter.passed(forward=results)
        return self.process.prediction(output, latents, level)

    def attend(self, latents: Tensor, timestep: float, conditioning: Conditioning, last: AttentionSite) -> None:
        """`Backbone.attend`; ``latents`` are one of each result that shares the pass, and count a pass each."""
        self.backbone.attend(latents, timestep, conditioning, last)
        self.meter.passed(truncated=len(latents))

    def editing(self, edits: Mapping[str, ModuleEdit], rows: int = 1) -> AbstractContextManager[tuple[Kept, ...]]:
        """`Backbone.editing`."""
        return self.backbone.editing(edits, rows)
