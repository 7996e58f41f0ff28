"""The checkpoints of one worker: loaded on demand, the least recently used one unloaded when memory runs short."""

from __future__ import annotations

import gc
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

import structlog

from jobs.models import ModelInfo
from jobs.settings import Settings
from worker.models.served_model import ServedModel, load, load_mask_models

MIB: Final = 2**20

LOADING_S: Final = 1800.0
"""Longest time that loading a checkpoint may take, in seconds; then it counts as hung."""

log = structlog.get_logger()


class Description(NamedTuple):
    """The announced facts about a model, loaded or not."""

    info: ModelInfo
    tokenizer_json: str


class Shelf:
    """The models of a worker by name. For one thread, but for `described` and `loading_since`."""

    def __init__(
        self, loaders: Mapping[str, Callable[[], ServedModel]], *, budget_bytes: int = 0, shared_bytes: int = 0
    ) -> None:
        """``budget_bytes``: how much the weights of all loaded models may take together, with the ``shared_bytes`` of
        what all of them use; 0: any amount. A single model that takes more is loaded all the same, alone."""
        self._loaders, self._budget_bytes, self._shared_bytes = dict(loaders), budget_bytes, shared_bytes
        self._loaded: OrderedDict[str, ServedModel] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._described: dict[str, Description] = {}
        self._loading_since: float | None = None

    @classmethod
    def of(cls, served: ServedModel | Shelf) -> Shelf:
        """A shelf, or one that holds ``served`` alone."""
        if isinstance(served, Shelf):
            return served
        shelf = cls({served.info.name: lambda: served})
        shelf.get(served.info.name)
        return shelf

    @classmethod
    def from_settings(cls, settings: Settings) -> Shelf:
        """Every checkpoint that the settings name, each loaded once, so that all are known; those that the budget has
        room for stay.

        Raises:
            CheckpointError: one cannot be edited with.
        """
        checkpoints = {settings.model: settings.checkpoint, **settings.further_models}
        shared = load_mask_models(settings)
        loaders = {
            name: partial(load, settings.model_copy(update={"model": name, "checkpoint": checkpoint or None}), shared)
            for name, checkpoint in checkpoints.items()
        }
        shelf = cls(loaders, budget_bytes=settings.model_memory_mib * MIB, shared_bytes=shared.size_bytes)
        # The worker's own model last: it stays.
        for name in reversed(loaders):
            shelf.get(name)
        return shelf

    @property
    def names(self) -> tuple[str, ...]:
        """Every model, loaded or not."""
        return tuple(self._loaders)

    @property
    def loaded(self) -> tuple[str, ...]:
        """The loaded models, most recently used last."""
        return tuple(self._loaded)

    @property
    def described(self) -> Sequence[Description]:
        """The facts about every model that was ever loaded."""
        return tuple(self._described.values())

    @property
    def loading_since(self) -> float | None:
        """Start of the current loading, in monotonic seconds; None: nothing is loading."""
        return self._loading_since

    def get(self, name: str) -> ServedModel:
        """The model, loaded on demand; others are unloaded to make room.

        Raises:
            CheckpointError: it can no longer be loaded.
            KeyError: there is no such model here.
        """
        if name in self._loaded:
            self._loaded.move_to_end(name)
            return self._loaded[name]
        self._make_room(self._sizes.get(name, 0))
        load_it = self._loaders[name]
        self._loading_since = time.monotonic()
        try:
            served = load_it()
        finally:
            self._loading_since = None
        self._loaded[name], self._sizes[name] = served, served.size_bytes
        self._described[name] = Description(served.info, served.tokenizer_json)
        self._make_room(0, keep=name)
        log.info("model loaded", model=name, mib=round(served.size_bytes / MIB), loaded=list(self._loaded))
        return served

    def unload(self, name: str) -> bool:
        """Unload the model until it is needed again. False: it was not loaded."""
        if self._loaded.pop(name, None) is None:
            return False
        gc.collect()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        log.info("model unloaded", model=name, loaded=list(self._loaded))
        return True

    def _make_room(self, coming: int, keep: str | None = None) -> None:
        """Unload the least recently used models but ``keep`` until ``coming`` bytes more are within the budget."""
        coming += self._shared_bytes
        while self._budget_bytes and sum(self._sizes[name] for name in self._loaded) + coming > self._budget_bytes:
            others = [name for name in self._loaded if name != keep]
            if not others:
                return
            self.unload(others[0])
