"""Which methods, inversions and parameters go together. Free of torch."""

from __future__ import annotations

from dataclasses import replace

from magedit.config import EditConfig, MethodName
from magedit.errors import NotTogether
from magedit.methods.registry import METHODS

CHOSEN = ("sweep", "equalizer", "cross_replace_words", "local_blend", "skip_fraction", "mask_source")
"""Parameters that are off unless they are given: a method that has no use for one refuses it. Of others it takes
no notice, so that one set of parameters serves several methods."""


def for_method(config: EditConfig, method: MethodName) -> EditConfig:
    """``config`` for one of several methods that are compared: without what this one has no use for."""
    card, default = METHODS[method], EditConfig()
    unused = {name: getattr(default, name) for name in CHOSEN if name not in card.parameters}
    if not card.inversions:
        unused["inversion"] = default.inversion
    if method == "p2p" and config.injection == "pnp":
        unused["injection"] = default.injection
    return replace(config, method=method, **unused)


def check_together(config: EditConfig) -> None:
    """Whether the method can start from the inversion and has a use for what was chosen.

    Raises:
        NotTogether: it cannot; says why, names the parameter and the cure.
    """
    method, inversion, default = config.method, config.inversion, EditConfig()
    card = METHODS[method]
    if not card.inversions and inversion != default.inversion:
        raise NotTogether(
            f"method {method!r} inverts nothing, so that inversion {inversion!r} would have no effect: leave it out",
            field="inversion",
        )
    if card.inversions and inversion not in card.inversions:
        raise NotTogether(
            f"method {method!r} cannot start from inversion {inversion!r}; it can from {', '.join(card.inversions)}",
            field="inversion",
        )
    for name in CHOSEN:
        if name not in card.parameters and getattr(config, name) != getattr(default, name):
            users = [other.name for other in METHODS.values() if name in other.parameters]
            raise NotTogether(
                f"method {method!r} has no use for {name}; {', '.join(users)} have: leave it out", field=name
            )
    if config.injection == "pnp":
        if method == "p2p":
            raise NotTogether("injection 'pnp' without guidance is method 'pnp': ask for that", field="injection")
        for name in ("equalizer", "cross_replace_words", "local_blend"):
            if method == "mag-edit" and getattr(config, name) != getattr(default, name):
                raise NotTogether(f"injection 'pnp' injects no cross attention: {name} has no effect", field=name)
