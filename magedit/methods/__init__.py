"""Editing methods: each owns its whole loop. One file each, one line each here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from magedit.config import MethodName
from magedit.methods.base import EditedLatent, EditTask, Method
from magedit.methods.mag_edit import mag_edit
from magedit.methods.p2p import p2p

METHODS: Mapping[MethodName, Method] = MappingProxyType({"mag-edit": mag_edit, "p2p": p2p})

__all__ = ["METHODS", "EditTask", "EditedLatent", "Method"]
