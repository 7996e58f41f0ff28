"""Compatibility of methods, inversions and parameters. Free of torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from magedit.card import Trait
from magedit.config import EditConfig, InversionName, MethodName
from magedit.errors import NotTogether, UnknownMethod
from magedit.inversion.card import WITHOUT_UNCONDITIONAL
from magedit.inversion.registry import INVERSIONS
from magedit.methods.registry import METHODS

CHOSEN = (
    "sweep",
    "selection",
    "equalizer",
    "cross_replace_words",
    "local_blend",
    "skip_fraction",
    "masked_content",
    "mask_source",
    "mask_softness",
    "lora",
    "clip_skip",
)
"""Parameters that are off by default; a method rejects those that it does not use. It ignores others, so that one set
of parameters serves several methods."""

UNSUITED: Mapping[str, Mapping[Trait, str]] = MappingProxyType(
    {
        "negative_prompt": WITHOUT_UNCONDITIONAL,
        "denominator": {"cross-attention": "its layers attend to the prompt only, so that both are the same"},
        "self_replace_max_positions": {"joint-attention": "its attention layers all have the same size"},
    }
)
"""Parameters that models of a trait do not support, each with the reason as a clause."""


def suited_methods(traits: Collection[Trait]) -> tuple[MethodName, ...]:
    """The methods that suit a model of these ``traits``, except those with their own checkpoints."""
    return tuple(c.name for c in METHODS.values() if not c.own_checkpoint and not c.reason_against(traits))


def suited_inversions(traits: Collection[Trait], *, dtype: str) -> tuple[InversionName, ...]:
    """The inversions that suit a model of these ``traits`` in the number format ``dtype``."""
    return tuple(
        card.name
        for card in INVERSIONS.values()
        if (dtype == "float32" or not card.full_precision) and not card.reason_against(traits)
    )


def unsuited(traits: Collection[Trait]) -> dict[str, str]:
    """The methods, inversions and parameters that do not suit a model of these ``traits``, with the reasons."""
    found: dict[str, Mapping[Trait, str]] = {name: card.unsuited for name, card in METHODS.items()}
    found |= {name: card.unsuited for name, card in INVERSIONS.items()}
    found |= UNSUITED
    return {name: why[trait] for name, why in found.items() for trait in why if trait in traits}


def check_suited(config: EditConfig, traits: Collection[Trait], model: str) -> None:
    """Check that the method, the inversion and the chosen parameters suit ``model``.

    Raises:
        UnknownMethod: a method or an inversion is not supported; says why.
        NotTogether: a parameter is not supported; says why.
    """
    against = unsuited(traits)
    names = ("method", "inversion") if METHODS[config.method].inversions else ("method",)
    for name in names:
        if reason := against.get(value := getattr(config, name)):
            raise UnknownMethod(f"model {model!r} does not support {name} {value!r}: {reason}", field=name)
    default = EditConfig()
    for name in UNSUITED:
        if name in against and getattr(config, name) != getattr(default, name):
            raise NotTogether(f"model {model!r} does not support {name}: {against[name]}; leave it out", field=name)


def with_defaults(config: EditConfig, defaults: Mapping[str, Any], *, given: Collection[str]) -> EditConfig:
    """``config`` with a model's ``defaults`` (`own_defaults`) where nothing was ``given``."""
    own = {name: value for name, value in own_defaults(defaults, config.method).items() if name not in given}
    return replace(config, **own) if own else config


def own_defaults(defaults: Mapping[str, Any], method: MethodName) -> dict[str, Any]:
    """A model's defaults of parameters for one method: those of all methods, then those under its name."""
    return {name: value for name, value in defaults.items() if name not in METHODS} | dict(defaults.get(method, {}))


def for_method(config: EditConfig, method: MethodName) -> EditConfig:
    """``config`` for one of several compared methods, without the parameters that it does not use."""
    card, default = METHODS[method], EditConfig()
    unused = {name: getattr(default, name) for name in CHOSEN if name not in card.parameters}
    if not card.inversions:
        unused["inversion"] = default.inversion
    if method == "p2p" and config.injection == "pnp":
        unused["injection"] = default.injection
    return replace(config, method=method, **unused)


def check_together(config: EditConfig) -> None:
    """Check that the method can start from the inversion and uses the chosen parameters.

    Raises:
        NotTogether: they are incompatible; says why, names the parameter and the cure.
    """
    method, inversion, default = config.method, config.inversion, EditConfig()
    card = METHODS[method]
    if not card.inversions and inversion != default.inversion:
        raise NotTogether(
            f"method {method!r} does not invert, so inversion {inversion!r} would have no effect: leave it out",
            field="inversion",
        )
    if card.inversions and inversion not in card.inversions:
        raise NotTogether(
            f"method {method!r} cannot start from inversion {inversion!r}; use one of {', '.join(card.inversions)}",
            field="inversion",
        )
    for name in CHOSEN:
        if name not in card.parameters and getattr(config, name) != getattr(default, name):
            users = [other.name for other in METHODS.values() if name in other.parameters]
            raise NotTogether(
                f"method {method!r} does not use {name}; only {', '.join(users)} do: leave it out", field=name
            )
    if INVERSIONS[inversion].is_virtual and config.eta > 0:
        raise NotTogether(
            f"inversion {inversion!r} fixes the edit's noise at every step, so eta would have no effect: leave it out",
            field="eta",
        )
    if config.injection == "pnp":
        if method == "p2p":
            raise NotTogether("injection 'pnp' without guidance is method 'pnp': use that", field="injection")
        for name in ("skip_fraction", "masked_content"):
            if getattr(config, name) != getattr(default, name):
                raise NotTogether(
                    f"injection 'pnp' would bring the source's features back: leave {name} out", field=name
                )
        for name in ("equalizer", "cross_replace_words", "local_blend"):
            if method == "mag-edit" and getattr(config, name) != getattr(default, name):
                raise NotTogether(f"injection 'pnp' injects no cross attention: {name} has no effect", field=name)
