"""Parameters of an edit, each defined once: type, bounds, unit, default and source.

`EditConfig` is one flat set of parameters for callers; its bases group them by their reader, which takes only its
group. The job schema, the HTTP form, the CLI and OpenAPI derive bounds, defaults and descriptions from its fields. Free
of torch.

Sources: *paper* is MAG-Edit (arXiv 2312.11396), *P2P* Prompt-to-Prompt (arXiv 2208.01626), *NTI* null-text inversion
(arXiv 2211.09794), *NPI* negative-prompt inversion (arXiv 2305.16807), *direct* Direct Inversion (arXiv 2310.01506).
Methods and the parameters they read: `magedit.methods.registry`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Self

from magedit.config.guidance import GuidanceParameters
from magedit.config.injection import InjectionParameters
from magedit.config.inversion import NullTextParameters, ProximalParameters, StyleParameters
from magedit.config.masking import MaskParameters
from magedit.config.method import OwnMaskParameters, TuningParameters
from magedit.config.parameters import parameters
from magedit.config.sampling import SEED_MAX
from magedit.config.types import RENAMED, PresetName, refuse_renamed

PRESETS: Mapping[PresetName, Mapping[str, Any]] = MappingProxyType(
    {
        "exact": {
            "inversion": "null-text",
            "gradient_tolerance": 0.0,
            "stop_margin": 0.0,
            "mask_resampling": "nearest",
            "inject_edit_words": True,
        },
        "balanced": {},
        # Fewer steps get more updates each, so that the total push stays the same: 25 x 15 = 10 x 38.
        "fast": {"steps": 20, "max_iterations": 38, "gradient_tolerance": 1.0},
        "turbo": {
            "inversion": "virtual",
            "steps": 8,
            "guidance_scale": 3.0,
            "max_iterations": 95,
            "gradient_tolerance": 1.0,
        },
    }
)
"""The values set by each preset; everything else keeps the default of `EditConfig`, so that ``balanced`` is empty."""

PRESET_DOC = (
    "A set of defaults; explicit parameters override it. `exact`: the released program's algorithm (null-text "
    "inversion, one gradient per guidance update, no early stopping). `balanced`: direct inversion, one gradient "
    "for several updates where it hardly changes. `fast`: `balanced` in 20 steps. `turbo`: 8 steps without inversion; "
    "on a checkpoint distilled for few steps, the checkpoint's own defaults."
)

GOVERNED = frozenset(name for preset in PRESETS.values() for name in preset)
"""The parameters whose default depends on the preset."""


@parameters
@dataclass(frozen=True, kw_only=True)
# Fields are in the order of the bases from the last to the first.
class EditConfig(
    TuningParameters,
    OwnMaskParameters,
    StyleParameters,
    ProximalParameters,
    NullTextParameters,
    MaskParameters,
    InjectionParameters,
    GuidanceParameters,
):
    """The parameters of an edit. Defaults are the paper's or the named source's unless the description says otherwise;
    step windows scale with ``steps``. `EditConfig.preset` gives other starting points. In an edit, parameters that are
    not ``given`` take the defaults of the edit's kind (`magedit.prompts.kinds`), as in the service."""

    def __new__(cls, **given: object) -> Self:
        refuse_renamed("EditConfig", given, RENAMED)
        return super().__new__(cls)

    @classmethod
    def preset(cls, name: PresetName, **given: Any) -> Self:
        """The configuration of preset ``name``; ``given`` parameters override it."""
        config = cls(**{**PRESETS[name], **given})
        # `exact` is the released program's algorithm for every kind of edit: all parameters count as given.
        return replace(config) if name == "exact" else config

    @property
    def variants(self) -> tuple[Self, ...]:
        """The configuration of each result, in order: every strength for each seed; all else is equal."""
        return tuple(
            replace(self, seed=(self.seed + k) % (SEED_MAX + 1), strength=strength, n=1, sweep=())
            for k in range(self.n)
            for strength in self.sweep or (self.strength,)
        )

    @property
    def results(self) -> int:
        """Number of results."""
        return self.n * max(1, len(self.sweep))

    @property
    def is_guided(self) -> bool:
        """Whether any result is guided."""
        return any(each.guided_steps > 0 for each in self.variants)
