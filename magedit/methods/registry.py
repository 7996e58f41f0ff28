"""The registry of editing methods."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import get_args

from magedit.config import MethodName
from magedit.methods.card import MethodCard


def _card(name: MethodName) -> MethodCard:
    card: MethodCard = import_module(f"magedit.methods.{name.replace('-', '_')}").CARD
    return card


METHODS: Mapping[MethodName, MethodCard] = MappingProxyType({name: _card(name) for name in get_args(MethodName)})
