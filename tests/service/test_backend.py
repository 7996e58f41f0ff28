"""The clients of one front-end process."""

from __future__ import annotations

import time

import pytest

from jobs.errors import NoWorkerForModel
from jobs.models import Models, ModelsSnapshot
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


def test_an_unannounced_model_has_no_tokenizer(settings: Settings) -> None:
    backend = Backend.open(settings)
    with pytest.raises(NoWorkerForModel):
        backend.tokenizer(model_info())
    backend.close()


def test_model_list_is_cached_briefly(settings: Settings, announce: Announce, monkeypatch: pytest.MonkeyPatch) -> None:
    announce()
    asked, look = list[int](), Models.snapshot

    def counted(self: Models) -> ModelsSnapshot:
        asked.append(1)
        return look(self)

    monkeypatch.setattr(Models, "snapshot", counted)
    backend = Backend.open(settings.model_copy(update={"model_cache_s": 600}))
    first, second = backend.snapshot(), backend.snapshot()
    assert list(first.models) == ["demo"]
    assert first.now < second.now
    assert len(asked) == 1
    backend.close()
    kept_s = 0.05
    backend = Backend.open(settings.model_copy(update={"model_cache_s": kept_s}))
    first = backend.snapshot()
    time.sleep(kept_s)
    assert backend.snapshot().now >= first.now + kept_s
    assert len(asked) == 3
    backend.close()


def test_model_list_is_not_cached_with_zero_ttl(settings: Settings, announce: Announce) -> None:
    backend = Backend.open(settings.model_copy(update={"model_cache_s": 0}))
    assert backend.snapshot().models == {}
    announce()
    assert list(backend.snapshot().models) == ["demo"]
    backend.close()
