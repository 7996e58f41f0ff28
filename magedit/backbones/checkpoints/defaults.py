"""Validation of a checkpoint's default parameters. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args

from magedit.config import EditConfig, MethodName
from magedit.errors import CheckpointError, InvalidEdit


def check_defaults(defaults: Mapping[str, Any]) -> None:
    """Check the defaults, and those under methods' names, against the parameters' types and bounds.

    Raises:
        CheckpointError: one is unknown, or out of bounds; names it.
    """
    methods, parameters = get_args(MethodName), {each.name for each in fields(EditConfig)}
    own = {name: value for name, value in defaults.items() if name not in methods}
    for name, value in own.items():
        if isinstance(value, Mapping) and name not in parameters:
            raise CheckpointError(
                f"its edit_defaults (model_index.json) name an unknown method {name!r}: use one of {', '.join(methods)}"
            )
    for values in (own, *(defaults[name] for name in methods if name in defaults)):
        try:
            EditConfig(**values)
        except (InvalidEdit, TypeError) as error:
            raise CheckpointError(f"its edit_defaults (model_index.json) are not valid: {error}") from error


__all__ = ["check_defaults"]
