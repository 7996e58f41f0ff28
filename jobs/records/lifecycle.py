"""State machine of a job, enforced inside Redis by `jobs.lua`.

queued ──claim──> running ──commit──> succeeded | failed | canceled
  │  ^               │
  │  └─ handed back, or its worker died
  └──> canceled (while queued), failed (its workers died too often, or its deadline passed)
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from jobs.schema import State

TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.QUEUED: frozenset({State.RUNNING, State.CANCELED, State.FAILED}),
        State.RUNNING: frozenset({State.QUEUED, State.SUCCEEDED, State.FAILED, State.CANCELED}),
        State.SUCCEEDED: frozenset(),
        State.FAILED: frozenset(),
        State.CANCELED: frozenset(),
    }
)


def lua_table() -> str:
    """The table as Lua, for the scripts that enforce it: `ALLOWED[before][after]` is true or nil."""
    rows = (
        f"{before} = {{ {', '.join(f'{after} = true' for after in sorted(afters))} }}"
        for before, afters in TRANSITIONS.items()
    )
    return f"{{ {', '.join(rows)} }}"
