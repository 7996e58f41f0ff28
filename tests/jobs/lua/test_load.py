from __future__ import annotations

from pathlib import Path

import pytest
from redis.exceptions import ResponseError

from jobs import keys, lua
from jobs.lua import load
from tests.jobs.conftest import Desk

FOLDER = Path(lua.__file__).parent
SCRIPTS = sorted(str(each.relative_to(FOLDER).with_suffix("")) for each in FOLDER.rglob("*.lua"))


def test_scripts_reject_transitions_outside_the_table(desk: Desk) -> None:
    record = desk.submit()
    desk.redis.hset(keys.EDIT + record.id, mapping={"state": "queued", "worker": "w", "attempt": 1})
    illegal = load("edits/commit").replace("state ~= 'running'", "false")
    with pytest.raises(ResponseError, match="no transition from queued to succeeded"):
        desk.redis.eval(illegal, 0, record.id, "w", 1, "succeeded", 1)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_compile_and_use_only_redis_time(name: str, desk: Desk) -> None:
    text = load(name)
    desk.redis.script_load(text)
    assert "os.time" not in text
    assert "os.clock" not in text


def test_included_files_are_loaded_once_and_first() -> None:
    text = load("edits/create")
    assert text.count("local function now()") == 1
    assert text.index("local EDIT =") < text.index("local function now()") < text.index("return {'created'")
    assert "-- include" not in text
