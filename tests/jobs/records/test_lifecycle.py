from __future__ import annotations

from jobs.records.lifecycle import TRANSITIONS, lua_table
from jobs.schema import State
from tests.jobs.conftest import Desk


def test_every_state_has_transitions_and_terminal_states_have_none() -> None:
    assert set(TRANSITIONS) == set(State)
    assert {state for state, after in TRANSITIONS.items() if not after} == {s for s in State if s.is_terminal}


def test_lua_has_the_same_table(desk: Desk) -> None:
    script = f"""
    local rows = {{}}
    for before, afters in pairs({lua_table()}) do
      for after in pairs(afters) do table.insert(rows, before .. ' ' .. after) end
    end
    return rows
    """
    found = {tuple(row.decode().split()) for row in desk.redis.eval(script, 0)}
    assert found == {(before, after) for before, afters in TRANSITIONS.items() for after in afters}
