"""The clients of one front-end process."""

from __future__ import annotations

import time

import pytest

from jobs.errors import NoWorkerForModel
from jobs.models import Look, Models
from jobs.settings import Settings
from service.backend import KEPT_S, Backend
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


def test_a_look_at_the_models_stands_for_others_for_a_moment(
    settings: Settings, announce: Announce, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce()
    backend, asked, look = Backend.open(settings), list[int](), Models.look

    def counted(self: Models) -> Look:
        asked.append(1)
        return look(self)

    monkeypatch.setattr(Models, "look", counted)
    first, second = backend.look(), backend.look()
    assert list(first.models) == ["demo"]
    assert first.now < second.now < first.now + KEPT_S
    assert len(asked) == 1
    time.sleep(KEPT_S)
    assert backend.look().now >= first.now + KEPT_S
    assert len(asked) == 2
    backend.close()
