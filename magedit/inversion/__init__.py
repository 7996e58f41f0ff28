"""Inversions: from an image's latent to a trajectory that sampling can follow. One file each, one line each here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from magedit.config import InversionName
from magedit.inversion.base import InversionTask, Invert, Inverted
from magedit.inversion.ddim import ddim
from magedit.inversion.direct import direct
from magedit.inversion.negative_prompt import negative_prompt
from magedit.inversion.null_text import null_text
from magedit.inversion.proximal import proximal
from magedit.inversion.style import style

INVERSIONS: Mapping[InversionName, Invert] = MappingProxyType(
    {
        "direct": direct,
        "ddim": ddim,
        "null-text": null_text,
        "negative-prompt": negative_prompt,
        "proximal": proximal,
        "style": style,
    }
)

__all__ = ["INVERSIONS", "InversionTask", "Invert", "Inverted"]
