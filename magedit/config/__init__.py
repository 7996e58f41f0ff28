"""Parameters of an edit: types, bounds, defaults, presets. Free of torch."""

from magedit.config.edit_config import GOVERNED, PRESET_DOC, PRESETS, EditConfig
from magedit.config.guidance import STRENGTH_POWER, GuidanceParameters
from magedit.config.injection import InjectionParameters
from magedit.config.inversion import NullTextParameters, ProximalParameters, StyleParameters
from magedit.config.masking import MaskParameters
from magedit.config.method import OwnMaskParameters, TuningParameters
from magedit.config.parameters import names_of
from magedit.config.sampling import NEGATIVE_PROMPT_MAX, SEED_MAX, SamplingParameters
from magedit.config.types import (
    WORD_MAX,
    WORDS_MAX,
    ConstraintName,
    Denominator,
    Fraction,
    InjectionName,
    InversionName,
    MaskedContent,
    MaskMode,
    MaskResampling,
    MaskSoftness,
    MaskSource,
    MethodName,
    PresetName,
    ProximalNorm,
    Region,
    Word,
)

__all__ = [
    "GOVERNED",
    "NEGATIVE_PROMPT_MAX",
    "PRESETS",
    "PRESET_DOC",
    "SEED_MAX",
    "STRENGTH_POWER",
    "WORDS_MAX",
    "WORD_MAX",
    "ConstraintName",
    "Denominator",
    "EditConfig",
    "Fraction",
    "GuidanceParameters",
    "InjectionName",
    "InjectionParameters",
    "InversionName",
    "MaskMode",
    "MaskParameters",
    "MaskResampling",
    "MaskSoftness",
    "MaskSource",
    "MaskedContent",
    "MethodName",
    "NullTextParameters",
    "OwnMaskParameters",
    "PresetName",
    "ProximalNorm",
    "ProximalParameters",
    "Region",
    "SamplingParameters",
    "StyleParameters",
    "TuningParameters",
    "Word",
    "names_of",
]
