"""Lua scripts that change job records atomically inside Redis.

Each checks the state it starts from and is repeatable, since a client that lost the reply sends it again. All times
are by the clock of Redis, so that no machine's clock matters. Keys are built inside the scripts: one Redis server (with
replicas), not a cluster.

A script names the files it builds on in its first lines (``-- include edits/transitions``). Every constant of
`jobs.keys` that it uses is a local of the same name, and so is ``ALLOWED``, the table of `jobs.records.lifecycle`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from jobs import keys
from jobs.records.lifecycle import lua_table

_INCLUDE = re.compile(r"^-- include ([\w/]+)\n", re.MULTILINE)


@cache
def load(name: str) -> str:
    """The whole text of ``jobs/lua/<name>.lua``, for example ``edits/create``: constants, included files, itself."""
    body = "".join(dict.fromkeys(_parts(name)))
    constants = {key: f"'{value}'" for key, value in vars(keys).items() if key.isupper() and isinstance(value, str)}
    constants["ALLOWED"] = lua_table()
    used = (key for key in constants if re.search(rf"\b{key}\b", body))
    return "".join(f"local {key} = {constants[key]}\n" for key in used) + body


def _parts(name: str) -> Iterator[str]:
    text = (files("jobs.lua") / f"{name}.lua").read_text()
    for included in _INCLUDE.findall(text):
        yield from _parts(included)
    yield _INCLUDE.sub("", text)
