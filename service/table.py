"""The application's addresses as a table: which route a path belongs to, whether or not it gets there."""

from __future__ import annotations

import re
from functools import cached_property

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import compile_path

UNMATCHED = "unmatched"
"""Of a path that no route has."""


class Routes:
    """The routes of ``app``, read when they are first asked for."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def name(self, path: str) -> str:
        """The route of a path as the contract spells it, `/v1/edits/{edit_id}`; `unmatched` for none."""
        for pattern, name in self._table:
            if pattern.fullmatch(path):
                return name
        return UNMATCHED

    @cached_property
    def _table(self) -> list[tuple[re.Pattern[str], str]]:
        paths = dict.fromkeys(context.path for context in iter_route_contexts(self._app.routes) if context.path)
        return [(compile_path(path)[0], compile_path(path)[1]) for path in paths]
