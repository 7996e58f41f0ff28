from __future__ import annotations

import pytest
from redis.exceptions import ResponseError

from jobs import keys
from jobs.lua import scripts
from tests.jobs.desk import Desk


def test_a_script_refuses_what_the_table_does_not_allow(desk: Desk) -> None:
    record = desk.submit()
    desk.redis.hset(keys.EDIT + record.id, mapping={"state": "queued", "worker": "w", "attempt": 1})
    illegal = scripts.COMMIT.replace("state ~= 'running'", "false")
    with pytest.raises(ResponseError, match="no transition from queued to succeeded"):
        desk.redis.eval(illegal, 0, record.id, "w", 1, "succeeded", 1)


def test_scripts_know_no_time_but_that_of_redis() -> None:
    texts = [text for name, text in vars(scripts).items() if name.isupper() and isinstance(text, str)]
    assert len(texts) == 13
    assert not any("os.time" in text or "os.clock" in text for text in texts)
