"""The clients of one front-end process."""

from __future__ import annotations

import pytest

from jobs.errors import NoWorkerForModel
from jobs.settings import Settings
from service.backend import Backend
from tests.service.conftest import Announce, model_info


def test_a_tokenizer_is_read_once(settings: Settings, announce: Announce) -> None:
    info = announce()
    backend = Backend.open(settings)
    tokenize = backend.tokenizer(info)
    assert len(tokenize("a purple carpet").ids) == 5
    backend.redis.flushall()
    assert backend.tokenizer(info) is tokenize
    backend.close()


def test_a_model_that_no_worker_announced_has_none(settings: Settings) -> None:
    backend = Backend.open(settings)
    with pytest.raises(NoWorkerForModel):
        backend.tokenizer(model_info())
    backend.close()
