"""Parameters of an edit: types, bounds, defaults, presets. Free of torch."""

from magedit.config.edit_config import GOVERNED, PRESET_DOC, PRESETS, SEED_MAX, STRENGTH_POWER, EditConfig
from magedit.config.types import (
    ConstraintName,
    Fraction,
    InjectionName,
    InversionName,
    MaskMode,
    MaskResampling,
    MaskSource,
    MethodName,
    PresetName,
    ProximalNorm,
    Region,
    Word,
)

__all__ = [
    "GOVERNED",
    "PRESETS",
    "PRESET_DOC",
    "SEED_MAX",
    "STRENGTH_POWER",
    "ConstraintName",
    "EditConfig",
    "Fraction",
    "InjectionName",
    "InversionName",
    "MaskMode",
    "MaskResampling",
    "MaskSource",
    "MethodName",
    "PresetName",
    "ProximalNorm",
    "Region",
    "Word",
]
