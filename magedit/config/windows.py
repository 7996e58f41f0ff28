"""Step windows of an edit, derived from its parameters. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, exp
from types import MappingProxyType

from magedit.config.parameters import Parameters
from magedit.config.types import InjectionName, InversionName, MethodName

SKIPPED: Mapping[MethodName, float] = MappingProxyType({"blended-latent": 0.25, "diffedit": 0.5, "flow-edit": 0.34})
"""`skip_fraction` of the methods that have one, from their papers."""


class Windows(Parameters):
    """The derived half of `magedit.config.EditConfig`, whose fields these are."""

    method: MethodName
    inversion: InversionName
    injection: InjectionName
    steps: int
    guided_fraction: float
    guided_from: float
    cross_replace: float
    cross_replace_words: Mapping[str, float]
    self_replace: float
    feature_replace: float
    blend_fraction: float
    local_blend: float | None
    skip_fraction: float | None
    style_iterations: int
    tune_fraction: float

    @property
    def measured_steps(self) -> int:
        """Number of leading steps whose ratios are measured: the guided window, also for methods without guidance;
        counted from the first step that is taken."""
        return int(self.guided_fraction * (self.steps - self.skipped_steps))

    @property
    def guided_from_step(self) -> int:
        """First step index that may be guided."""
        return int(self.guided_from * self.steps)

    @property
    def on_pnp(self) -> bool:
        """Whether the source enters as PnP's features and not as Prompt-to-Prompt's maps."""
        return self.method == "pnp" or (self.method == "mag-edit" and self.injection == "pnp")

    @property
    def source_steps(self) -> int:
        """Number of leading steps that need maps or features of the source."""
        if self.local_blend is not None:
            return self.steps
        if self.on_pnp:
            return max(self.feature_replace_until, self.self_replace_until)
        windows = (self.cross_replace, *self.cross_replace_words.values())
        return min(self.steps, max(self.self_replace_until, *map(self.cross_replace_until, windows)))

    @property
    def skipped_steps(self) -> int:
        """Number of leading steps that are left out; at least one step is taken."""
        fraction = SKIPPED.get(self.method, 0.0) if self.skip_fraction is None else self.skip_fraction
        return min(int(fraction * self.steps), self.steps - 1)

    @property
    def feature_replace_until(self) -> int:
        """Step index at which PnP's feature injection ends."""
        return int(self.feature_replace * self.steps)

    @property
    def tuned_steps(self) -> int:
        """Number of leading steps with SINE's tuned model."""
        return int(self.tune_fraction * self.steps)

    def style_updates(self, step: int) -> int:
        """Updates of StyleDiffusion's network at ``step``."""
        return ceil(self.style_iterations * exp(-0.1 * step))

    @property
    def blend_from(self) -> int:
        """First step index whose latent is blended with the source's outside the dilated mask."""
        return self.steps - round(self.blend_fraction * self.steps)

    @property
    def self_replace_until(self) -> int:
        """Step index at which self-attention injection ends (P2P counts int(0.5 T))."""
        return int(self.self_replace * self.steps)

    def cross_replace_until(self, fraction: float) -> int:
        """Step index at which cross-attention injection ends for ``fraction`` (P2P counts int(0.8 (T + 1)))."""
        return int(fraction * (self.steps + 1))
