"""A checkpoint's own defaults of an edit's parameters, checked. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from magedit.config import EditConfig
from magedit.errors import CheckpointError, InvalidEdit


def check_defaults(defaults: Mapping[str, Any]) -> None:
    """Hold them, and those under methods' names, against the parameters' types and bounds.

    Raises:
        CheckpointError: one is unknown, or out of bounds; names it.
    """
    own = {name: value for name, value in defaults.items() if not isinstance(value, Mapping)}
    for values in (own, *(each for each in defaults.values() if isinstance(each, Mapping))):
        try:
            EditConfig(**values)
        except (InvalidEdit, TypeError) as error:
            raise CheckpointError(
                f"its edit_defaults (model_index.json) are no parameters of an edit: {error}"
            ) from error


__all__ = ["check_defaults"]
