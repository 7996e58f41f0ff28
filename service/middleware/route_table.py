"""Maps a path to its route before routing."""

from __future__ import annotations

import re
from functools import cached_property
from typing import NamedTuple

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import compile_path

UNMATCHED = "unmatched"
"""Name of a path without a route."""


class Routes:
    """The routes of ``app``, read on first use."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def name(self, path: str) -> str:
        """The route of a path as the contract spells it, `/v1/edits/{edit_id}`; `unmatched` for none."""
        return next((route.name for route in self._table if route.pattern.fullmatch(path)), UNMATCHED)

    def methods(self, path: str) -> list[str]:
        """The methods allowed at the path, HEAD with GET; sorted."""
        return next((route.methods for route in self._table if route.pattern.fullmatch(path)), [])

    @cached_property
    def _table(self) -> list[_Route]:
        methods: dict[str, set[str]] = {}
        for context in iter_route_contexts(self._app.routes):
            if context.path:
                methods.setdefault(context.path, set()).update(context.methods or ())
        return [_route(path, found) for path, found in methods.items()]


class _Route(NamedTuple):
    pattern: re.Pattern[str]
    name: str
    methods: list[str]


def _route(path: str, methods: set[str]) -> _Route:
    pattern, name, _ = compile_path(path)
    return _Route(pattern, name, sorted(methods | ({"HEAD"} if "GET" in methods else set())))
