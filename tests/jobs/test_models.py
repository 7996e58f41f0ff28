from __future__ import annotations

import pytest

from jobs import keys
from jobs.errors import NoWorkerForModel, UnknownModel
from jobs.models import ModelInfo, tokenizer_sha256
from jobs.settings import Settings
from tests.conftest import wait_until
from tests.jobs.conftest import Desk

TOKENIZER = '{"version": "1.0"}'


def info(name: str = "demo", vocabulary: tuple[str, ...] | None = ("room", "sofa")) -> ModelInfo:
    return ModelInfo(
        name=name,
        checkpoint="folder",
        image_size=64,
        max_prompt_tokens=77,
        vocabulary=vocabulary,
        tokenizer_sha256=tokenizer_sha256(TOKENIZER),
        methods=("mag-edit", "p2p"),
        inversions=("direct",),
        device="cpu",
        dtype="float32",
    )


def test_announced_models_count_their_workers(desk: Desk) -> None:
    for model, worker in (("demo", "w1"), ("demo", "w2"), ("demo", "w1"), ("sd", "w3")):
        desk.models.announce(info(model), worker, 60, TOKENIZER)
    known = desk.models.all()
    assert {name: status.workers for name, status in known.items()} == {"demo": 2, "sd": 1}
    assert known["demo"].info == info()
    assert desk.models.workers() == {"w1", "w2", "w3"}
    assert desk.models.require("sd", desk.settings).workers == 1


def test_an_announcement_runs_out_but_the_model_stays_known(desk: Desk) -> None:
    desk.models.announce(info(), "w1", 0.05, TOKENIZER)
    wait_until(lambda: desk.models.all()["demo"].workers == 0)
    with pytest.raises(NoWorkerForModel, match="no worker serves the model 'demo'"):
        desk.models.require("demo", desk.settings)
    with pytest.raises(UnknownModel, match="known are: demo"):
        desk.models.require("dall-e", desk.settings)


def test_a_request_that_names_no_model_goes_to_the_only_one_served(desk: Desk) -> None:
    unset, chosen = Settings(), Settings(default_model="chosen")
    desk.models.announce(info("sd"), "w1", 60, TOKENIZER)
    assert desk.models.require(None, unset).info.name == "sd"
    with pytest.raises(UnknownModel, match="'chosen'; known are: sd"):
        desk.models.require(None, chosen)
    desk.models.announce(info("other"), "w2", 60, TOKENIZER)
    with pytest.raises(UnknownModel, match="'demo'; known are: other, sd"):
        desk.models.require(None, unset)
    desk.models.announce(info("demo"), "w3", 60, TOKENIZER)
    assert desk.models.require(None, unset).info.name == "demo"


def test_a_declared_model_takes_edits_without_a_worker(desk: Desk) -> None:
    desk.models.declare(info(), TOKENIZER)
    status = desk.models.require("demo", desk.settings)
    assert (status.workers, status.is_declared, status.info) == (0, True, info())
    assert status.since > 0
    assert desk.models.tokenizer_json(info()) == TOKENIZER
    assert desk.redis.ttl(keys.TOKENIZER + info().tokenizer_sha256) == -1
    assert desk.models.require(None, Settings()).info.name == "demo"


def test_a_worker_may_declare_its_model_with_the_announcement(desk: Desk) -> None:
    desk.models.announce(info(), "w1", 60, TOKENIZER, declare=True)
    assert desk.redis.ttl(keys.TOKENIZER + info().tokenizer_sha256) == -1
    desk.models.withdraw(info(), "w1")
    assert desk.models.require("demo", desk.settings).is_declared


def test_live_announcement_takes_precedence_over_a_declaration(desk: Desk) -> None:
    desk.models.announce(info(), "w1", 60, TOKENIZER)
    desk.models.declare(info(vocabulary=None), TOKENIZER)
    assert desk.models.all()["demo"].info == info()


def test_a_declared_models_tokenizer_changes_with_its_worker(desk: Desk) -> None:
    desk.models.declare(info(), TOKENIZER)
    other = '{"version": "2.0"}'
    later = info().model_copy(update={"tokenizer_sha256": tokenizer_sha256(other)})
    desk.models.announce(later, "w1", 60, other)
    desk.models.withdraw(later, "w1")
    assert desk.models.tokenizer_json(desk.models.require("demo", desk.settings).info) == other
    assert desk.redis.ttl(keys.TOKENIZER + tokenizer_sha256(other)) == -1
    assert desk.redis.ttl(keys.TOKENIZER + info().tokenizer_sha256) > 0


def test_a_tokenizer_that_another_declared_model_has_outlives_the_change_of_one(desk: Desk) -> None:
    desk.models.declare(info(), TOKENIZER)
    desk.models.declare(info("sd"), TOKENIZER)
    other = '{"version": "2.0"}'
    later = info().model_copy(update={"tokenizer_sha256": tokenizer_sha256(other)})
    desk.models.announce(later, "w1", 60, other)
    assert desk.redis.ttl(keys.TOKENIZER + info().tokenizer_sha256) == -1
    assert desk.models.tokenizer_json(info("sd")) == TOKENIZER


def test_a_tokenizer_that_a_new_declaration_replaces_runs_out(desk: Desk) -> None:
    desk.models.declare(info(), TOKENIZER)
    other = '{"version": "2.0"}'
    desk.models.declare(info().model_copy(update={"tokenizer_sha256": tokenizer_sha256(other)}), other)
    assert desk.redis.ttl(keys.TOKENIZER + tokenizer_sha256(other)) == -1
    assert desk.redis.ttl(keys.TOKENIZER + info().tokenizer_sha256) > 0


def test_a_tokenizer_that_only_workers_announce_runs_out(desk: Desk) -> None:
    desk.models.announce(info(), "w1", 60, TOKENIZER)
    assert desk.redis.ttl(keys.TOKENIZER + info().tokenizer_sha256) > 0


def test_a_model_that_is_forgotten_is_unknown_unless_a_worker_serves_it(desk: Desk) -> None:
    desk.models.declare(info(), TOKENIZER)
    desk.models.announce(info("sd"), "w1", 60, TOKENIZER, declare=True)
    assert desk.models.forget("demo")
    assert not desk.models.forget("demo")
    # The other one's tokenizer is the same.
    assert desk.redis.ttl(keys.TOKENIZER + info().tokenizer_sha256) == -1
    with pytest.raises(UnknownModel):
        desk.models.require("demo", desk.settings)
    assert desk.models.forget("sd")
    assert desk.models.require("sd", desk.settings).workers == 1
    assert desk.redis.ttl(keys.TOKENIZER + info().tokenizer_sha256) > 0


def test_withdrawing_is_at_once(desk: Desk) -> None:
    desk.models.announce(info(), "w1", 60, TOKENIZER)
    desk.models.withdraw(info(), "w1")
    assert desk.models.all()["demo"].workers == 0


def test_the_tokenizer_comes_with_the_announcement(desk: Desk) -> None:
    with pytest.raises(NoWorkerForModel):
        desk.models.tokenizer_json(info())
    desk.models.announce(info(), "w1", 60, TOKENIZER)
    desk.models.announce(info(), "w1", 60, TOKENIZER)
    assert desk.models.tokenizer_json(info()) == TOKENIZER


def test_pace_is_a_moving_average(desk: Desk) -> None:
    desk.models.announce(info(), "w1", 60, TOKENIZER)
    assert desk.models.all()["demo"].step_seconds is None
    desk.models.keep_pace("demo", 2.0)
    desk.models.keep_pace("demo", 1.0)
    assert desk.models.all()["demo"].step_seconds == pytest.approx(1.7)
