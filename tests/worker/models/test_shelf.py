"""Several checkpoints in one worker: loaded on demand, within a budget."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jobs.settings import Settings
from magedit.segmenters.finder import Finders
from recipes.presets.segmenter import SEGMENTER_TOY
from recipes.segmenter import build_segmenter, export_segmenter
from tests.conftest import CHECKPOINT
from tests.worker.models.painter import painting_model
from worker.models.served_model import ServedModel
from worker.models.shelf import Shelf


class Loads:
    """Loaders of models that take 10 bytes each, and what they were asked for."""

    def __init__(self, gates: Path, *names: str) -> None:
        self.asked: list[str] = []
        self._gates = gates
        self.loaders = {name: lambda name=name: self._load(name) for name in names}

    def _load(self, name: str) -> ServedModel:
        self.asked.append(name)
        return replace(painting_model(self._gates, name), size_bytes=10)


def test_a_model_is_loaded_when_it_is_first_asked_for_and_stays(tmp_path: Path) -> None:
    loads = Loads(tmp_path, "a", "b")
    shelf = Shelf(loads.loaders)
    assert (shelf.names, shelf.loaded, shelf.described) == (("a", "b"), (), ())
    assert shelf.get("a") is shelf.get("a")
    shelf.get("b")
    assert loads.asked == ["a", "b"]
    assert [each.info.name for each in shelf.described] == ["a", "b"]


def test_least_recently_used_model_is_unloaded(tmp_path: Path) -> None:
    loads = Loads(tmp_path, "a", "b", "c")
    shelf = Shelf(loads.loaders, budget_bytes=25)
    for name in ("a", "b", "a", "c"):
        shelf.get(name)
    assert shelf.loaded == ("a", "c")
    # It is announced all the same, and comes back when it is needed.
    assert [each.info.name for each in shelf.described] == ["a", "b", "c"]
    shelf.get("b")
    assert shelf.loaded == ("c", "b")
    assert loads.asked == ["a", "b", "c", "b"]


def test_a_model_larger_than_the_budget_is_loaded_alone(tmp_path: Path) -> None:
    shelf = Shelf(Loads(tmp_path, "a", "b").loaders, budget_bytes=5)
    shelf.get("a")
    shelf.get("b")
    assert shelf.loaded == ("b",)


def test_unloading_frees_the_memory_once(tmp_path: Path) -> None:
    shelf = Shelf(Loads(tmp_path, "a").loaders)
    shelf.get("a")
    assert shelf.unload("a")
    assert not shelf.unload("a")
    assert shelf.loaded == ()


def test_an_unknown_model_is_a_key_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        Shelf(Loads(tmp_path, "a").loaders).get("b")


def test_real_checkpoints_by_the_settings() -> None:
    settings = Settings(
        model="one",
        checkpoint=str(CHECKPOINT),
        device="cpu",
        further_models={"two": str(CHECKPOINT)},
        model_memory_mib=1,
    )
    shelf = Shelf.from_settings(settings)
    assert shelf.names == ("one", "two")
    # Both are known; the budget has room for one.
    assert {each.info.name: each.info.checkpoint for each in shelf.described} == dict.fromkeys(
        ("one", "two"), str(CHECKPOINT)
    )
    assert shelf.loaded == ("one",)
    assert shelf.get("two").size_bytes > 2**20


def test_shared_models_count_towards_the_budget(tmp_path: Path) -> None:
    shelf = Shelf(Loads(tmp_path, "a", "b").loaders, budget_bytes=25, shared_bytes=10)
    shelf.get("a")
    shelf.get("b")
    assert shelf.loaded == ("b",)


def test_the_segmenter_is_loaded_once_for_all_checkpoints(tmp_path: Path) -> None:
    sam = tmp_path / "sam"
    export_segmenter(build_segmenter(SEGMENTER_TOY.segmenter, SEGMENTER_TOY.size), sam)
    settings = Settings(
        model="one",
        checkpoint=str(CHECKPOINT),
        device="cpu",
        further_models={"two": str(CHECKPOINT)},
        segmenter=str(sam),
    )
    shelf = Shelf.from_settings(settings)
    finders = [shelf.get(name).finder for name in shelf.names]
    assert all(isinstance(each, Finders) for each in finders)
    one, two = (each.segmenter for each in finders if isinstance(each, Finders))
    assert one is two
    assert one is not None
    assert one.size_bytes > 0
