"""Parameters of an edit, each defined once: type, bounds, unit, default and source.

`EditConfig` is one flat set of parameters for callers; its bases group them by what reads them, and readers take the
group alone. The library takes it as it is; the job schema, the HTTP form, the CLI and OpenAPI read bounds, defaults and
descriptions from its fields. Free of torch.

Sources: *paper* is MAG-Edit (arXiv 2312.11396), *P2P* Prompt-to-Prompt (arXiv 2208.01626), *NTI* null-text
inversion (arXiv 2211.09794), *NPI* negative-prompt inversion (arXiv 2305.16807), *direct* Direct Inversion
(arXiv 2310.01506). What each method is and which parameters it reads: `magedit.methods.registry`.
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
        # The updates per step grow as the steps get fewer, so that guidance pushes as far in all: 25 x 15 = 10 x 38.
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
"""What each preset sets; everything else is the default of `EditConfig`, so that ``balanced`` is these defaults."""

PRESET_DOC = (
    "A choice of parameters; those that are given win over it. `exact`: the released program's algorithm (null-text "
    "inversion, one gradient per guidance update, nothing stopped early). `balanced`: direct inversion, one gradient "
    "for several updates where it hardly changes. `fast`: `balanced` in 20 steps. `turbo`: 8 steps without inversion; "
    "on a checkpoint that was distilled for few steps, its own."
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
    """How to edit. A default is the paper's or the named source's, where its description gives no other; step windows
    scale with ``steps``. `EditConfig.preset` gives other starting points. What is not ``given`` takes, in an edit, the
    defaults of the edit's kind (`magedit.prompts.kinds`), as in the service."""

    def __new__(cls, **given: object) -> Self:
        refuse_renamed("EditConfig", given, RENAMED)
        return super().__new__(cls)

    @classmethod
    def preset(cls, name: PresetName, **given: Any) -> Self:
        """The configuration of preset ``name``; parameters that are ``given`` win over it."""
        config = cls(**{**PRESETS[name], **given})
        # `exact` is the released program's algorithm, whatever kind of edit it is: nothing is open.
        return replace(config) if name == "exact" else config

    @property
    def variants(self) -> tuple[Self, ...]:
        """The configuration of each result, in order: for each seed every strength; all else is the same."""
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
