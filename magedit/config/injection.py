"""Parameters of the injection of the source's attention and features. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Ge, Le, MaxLen
from typing_extensions import Doc

from magedit.config.sampling import SamplingParameters
from magedit.config.types import Fraction, InjectionName, Word


@dataclass(frozen=True, kw_only=True)
class InjectionParameters(SamplingParameters):
    """Injection of Prompt-to-Prompt and of Plug-and-Play; methods `p2p`, `pnp` and `mag-edit`."""

    injection: Annotated[
        InjectionName,
        Doc(
            "What the edit reuses from the source. P2P cross attention: `refine` aligns the prompts, `replace` "
            "swaps words one for one. `pnp`, with `mag-edit`: features and self attention as in method `pnp`."
        ),
    ] = "refine"
    cross_replace: Annotated[
        Fraction, Doc("Leading fraction of the steps with injected cross attention (P2P: 0.8).")
    ] = 0.8
    cross_replace_words: Annotated[
        Mapping[Word, Fraction],
        MaxLen(16),
        Doc("`cross_replace` for single words of the target prompt: JSON object word -> fraction."),
    ] = field(default_factory=dict)
    self_replace: Annotated[Fraction, Doc("Leading fraction of the steps with injected self attention (P2P: 0.5).")] = (
        0.5
    )
    self_replace_max_positions: Annotated[
        int,
        Ge(0),
        Le(16384),
        Doc("Largest self-attention layer that is injected, in positions (P2P: 32 x 32)."),
    ] = 1024
    equalizer: Annotated[
        Mapping[Word, Annotated[float, Ge(-10.0), Le(10.0)]],
        MaxLen(16),
        Doc("P2P attention re-weighting: JSON object word of the target prompt -> factor of its maps."),
    ] = field(default_factory=dict)
    local_blend: Annotated[
        Fraction | None,
        Doc(
            "P2P's LocalBlend: the edit differs from the source only where the edit words' maps exceed this share of "
            "their maximum (P2P: 0.3). Empty: everywhere."
        ),
    ] = None
    feature_replace: Annotated[
        Fraction, Doc("Leading fraction of the steps with injected features, with PnP (arXiv 2211.12572: 0.8).")
    ] = 0.8

    @property
    def on_pnp(self) -> bool:
        """Whether PnP's features are injected instead of Prompt-to-Prompt's maps."""
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
    def feature_replace_until(self) -> int:
        """Step index at which PnP's feature injection ends."""
        return int(self.feature_replace * self.steps)

    @property
    def self_replace_until(self) -> int:
        """Step index at which self-attention injection ends (P2P counts int(0.5 T))."""
        return int(self.self_replace * self.steps)

    def cross_replace_until(self, fraction: float) -> int:
        """Step index at which cross-attention injection ends for ``fraction`` (P2P counts int(0.8 (T + 1)))."""
        return int(fraction * (self.steps + 1))
