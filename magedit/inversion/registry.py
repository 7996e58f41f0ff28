"""The inversions by name: each is a folder here, and a name in `magedit.config.InversionName`. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, get_args

from magedit.config import EditConfig, InversionName
from magedit.inversion.card import InversionCard


def _card(name: InversionName) -> InversionCard:
    card: InversionCard = import_module(f"magedit.inversion.{name.replace('-', '_')}").CARD
    return card


INVERSIONS: Mapping[InversionName, InversionCard] = MappingProxyType(
    {name: _card(name) for name in get_args(InversionName)}
)


def inversion_settings(config: EditConfig) -> dict[str, Any]:
    """The parameters that the inversion of ``config`` depends on, by name."""
    names = ("steps", "inversion", "lora", "clip_skip", *INVERSIONS[config.inversion].made_with)
    return {name: getattr(config, name) for name in names}
