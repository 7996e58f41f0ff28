"""The registry of editing methods: name to loop."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from magedit.config import MethodName
from magedit.methods.base import EditedLatent, EditTask, Method, in_turn
from magedit.methods.blended_latent import blended_latent
from magedit.methods.diffedit import diffedit
from magedit.methods.mag_edit import mag_edit
from magedit.methods.p2p import p2p
from magedit.methods.pnp import pnp
from magedit.methods.sine import sine

METHODS: Mapping[MethodName, Method] = MappingProxyType(
    {
        "mag-edit": mag_edit,
        "p2p": p2p,
        "pnp": pnp,
        "diffedit": in_turn(diffedit),
        "blended-latent": in_turn(blended_latent),
        "sine": sine,
    }
)

__all__ = ["METHODS", "EditTask", "EditedLatent", "Method"]
