from __future__ import annotations

import pytest

from jobs.errors import NoWorkerForModel, UnknownModel
from jobs.models import tokenizer_sha256
from jobs.schema import ModelInfo
from jobs.settings import Settings
from tests.conftest import wait_until
from tests.jobs.desk import Desk

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


def test_the_pace_is_an_average_that_follows(desk: Desk) -> None:
    desk.models.announce(info(), "w1", 60, TOKENIZER)
    assert desk.models.all()["demo"].step_seconds is None
    desk.models.keep_pace("demo", 2.0)
    desk.models.keep_pace("demo", 1.0)
    assert desk.models.all()["demo"].step_seconds == pytest.approx(1.7)
