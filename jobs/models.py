"""Served models: facts that workers announce, and the registry that keeps them with a time to live."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, NamedTuple, cast

from pydantic import ConfigDict, Field
from redis import Redis

from jobs import keys
from jobs.connection import redis_errors
from jobs.errors import NoWorkerForModel, UnknownModel
from jobs.lua import load
from jobs.schema import Frozen
from jobs.settings import Settings
from magedit.card import STABLE_DIFFUSION, Trait
from magedit.config import InversionName, MethodName
from magedit.edits.checkpoint import Checkpoint, StepSizes
from magedit.masks.shapes import FindsBy
from magedit.prompts.alignment import Tokenize

# How long a tokenizer outlives its last announcement, in seconds.
TOKENIZER_TTL_S = 24 * 3600
# Weight of the newest edit in the average pace.
PACE_WEIGHT = 0.3

ModelOrder = Literal["load", "unload"]


class ModelInfo(Frozen):
    """Announcement of a live worker's model. ``image_size`` in px, ``vocabulary`` None: any word; ``domain``: the
    subject of its training pictures, None: unknown; ``step_sizes`` None: announced by an older version."""

    # Workers of newer versions may announce further fields.
    model_config = ConfigDict(extra="ignore")

    name: str
    checkpoint: str
    image_size: int
    max_prompt_tokens: int
    vocabulary: tuple[str, ...] | None = None
    domain: str | None = None
    tokenizer_sha256: str
    methods: tuple[MethodName, ...]
    inversions: tuple[InversionName, ...]
    device: str
    dtype: str
    step_sizes: StepSizes | None = None
    family: str = "sd"
    traits: tuple[Trait, ...] = STABLE_DIFFUSION
    defaults: dict[str, Any] = Field(default_factory=dict)
    loras: tuple[str, ...] = ()
    embeddings: tuple[str, ...] = ()
    max_clip_skip: int = 0
    finds_by: tuple[FindsBy, ...] = ()
    detects: bool = False

    def as_checkpoint(self, tokenize: Tokenize) -> Checkpoint:
        """The checkpoint that edits are resolved for."""
        return Checkpoint(
            name=self.name,
            methods=self.methods,
            inversions=self.inversions,
            tokenize=tokenize,
            max_tokens=self.max_prompt_tokens,
            vocabulary=self.vocabulary,
            step_sizes=self.step_sizes,
            traits=self.traits,
            defaults=self.defaults,
            loras=self.loras,
            max_clip_skip=self.max_clip_skip,
        )


class ModelStatus(Frozen):
    """A model as the front end sees it. ``step_seconds``: measured wall seconds per step of an edit with one result;
    ``since``: time of its first announcement, in Unix seconds by the clock of Redis (0: unknown). A model that
    ``is_declared`` takes edits while no worker serves it."""

    info: ModelInfo
    workers: int
    step_seconds: float | None = None
    is_declared: bool = False
    since: float = 0.0

    @property
    def takes_edits(self) -> bool:
        """Whether an edit may be submitted for it."""
        return self.workers > 0 or self.is_declared


def tokenizer_sha256(tokenizer_json: str) -> str:
    """The hash for `ModelInfo.tokenizer_sha256`."""
    return hashlib.sha256(tokenizer_json.encode()).hexdigest()


class ModelsSnapshot(NamedTuple):
    """The models at one time, in Unix seconds by the clock of Redis."""

    models: dict[str, ModelStatus]
    now: float


@lru_cache(maxsize=64)
def _info(text: bytes) -> ModelInfo:
    """An announcement; parsing is cached, since every status request needs it and it holds a vocabulary."""
    return ModelInfo.model_validate_json(text)


def default_model(known: Mapping[str, ModelStatus], settings: Settings) -> str:
    """The model of a request that names none: the default model or, where none is set, the only one served."""
    served = [name for name, status in known.items() if status.takes_edits]
    if "default_model" not in settings.model_fields_set and len(served) == 1:
        return served[0]
    return settings.default_model


class Models:
    """Announcements of models. Safe to share between threads; raises `QueueUnavailable` while Redis is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._announce = redis.register_script(load("models/announce"))
        self._live = redis.register_script(load("models/live"))
        self._pace = redis.register_script(load("models/pace"))
        self._declare = redis.register_script(load("models/declare"))
        self._forget = redis.register_script(load("models/forget"))

    @redis_errors()
    def announce(
        self, info: ModelInfo, worker: str, ttl_s: float, tokenizer_json: str, *, declare: bool = False
    ) -> None:
        """Announce that ``worker`` serves the model for the next ``ttl_s`` seconds; ``declare``: as `declare` too."""
        sha256 = info.tokenizer_sha256
        args = (info.name, worker, ttl_s, info.model_dump_json(), sha256, TOKENIZER_TTL_S, int(declare))
        if not self._announce(args=args):
            self._redis.set(keys.TOKENIZER + sha256, tokenizer_json, ex=TOKENIZER_TTL_S)
            # A declared model's tokenizer is kept for longer; the script handles this.
            self._announce(args=args)

    @redis_errors()
    def withdraw(self, info: ModelInfo, worker: str) -> None:
        """Withdraw the announcement that ``worker`` serves the model."""
        self._redis.zrem(keys.ANNOUNCED, f"{info.name} {worker}")

    @redis_errors()
    def declare(self, info: ModelInfo, tokenizer_json: str) -> None:
        """Let the model take edits while no worker serves it; a live worker's own announcement goes before ``info``."""
        self._declare(args=(info.name, info.model_dump_json(), info.tokenizer_sha256, tokenizer_json, TOKENIZER_TTL_S))

    @redis_errors()
    def forget(self, name: str) -> bool:
        """End the declaration; without a live worker the model is unknown then. False: it was not declared."""
        return bool(self._forget(args=(name, TOKENIZER_TTL_S)))

    @redis_errors()
    def order(self, name: str, order: ModelOrder) -> None:
        """Have the workers that serve several models load or unload this one, each as soon as it is idle."""
        self._redis.hset(keys.MODEL_ORDERS, name, f"{order} {time.time_ns()}")

    @redis_errors()
    def orders(self) -> dict[str, str]:
        """The latest order for each model: `load` or `unload`, with a sequence number."""
        found = cast("dict[bytes, bytes]", self._redis.hgetall(keys.MODEL_ORDERS))
        return {name.decode(): order.decode() for name, order in found.items()}

    @redis_errors()
    def workers(self) -> set[str]:
        """Names of the live workers."""
        return {member.decode().split(" ")[1] for member in self._live()[0]}

    @redis_errors()
    def snapshot(self) -> ModelsSnapshot:
        """Every model ever announced, with its live workers, and the time, in one round trip."""
        announced, infos, paces, (seconds, microseconds), declared, since = self._live()
        serving = [member.decode().split(" ")[0] for member in announced]
        pace, first = (
            {each[i].decode(): float(each[i + 1]) for i in range(0, len(each), 2)} for each in (paces, since)
        )
        models = {
            name: ModelStatus(
                info=_info(text),
                workers=serving.count(name),
                step_seconds=pace.get(name),
                is_declared=name.encode() in declared,
                since=first.get(name, 0.0),
            )
            for name, text in sorted((infos[i].decode(), infos[i + 1]) for i in range(0, len(infos), 2))
        }
        return ModelsSnapshot(models, int(seconds) + int(microseconds) / 1e6)

    def all(self) -> dict[str, ModelStatus]:
        """Every model ever announced, with its live workers, in one round trip."""
        return self.snapshot().models

    def require(self, name: str | None, settings: Settings) -> ModelStatus:
        """The model, declared or with a live worker, in one round trip; ``name`` None: the default one.

        Raises:
            UnknownModel: no worker has ever served it; the message lists the known models.
            NoWorkerForModel: no worker serves it now, and it is not declared.
        """
        known = self.all()
        name = name or default_model(known, settings)
        if name not in known:
            names = ", ".join(known) or "none yet"
            raise UnknownModel(f"there is no model {name!r}; known are: {names}")
        if not known[name].takes_edits:
            raise NoWorkerForModel(f"no worker serves the model {name!r} at present; try again later")
        return known[name]

    @redis_errors()
    def tokenizer_json(self, info: ModelInfo) -> str:
        """The model's tokenizer, cacheable under `ModelInfo.tokenizer_sha256`. Raises NoWorkerForModel."""
        text = cast("bytes | None", self._redis.get(keys.TOKENIZER + info.tokenizer_sha256))
        if text is None:
            raise NoWorkerForModel(f"no worker serves the model {info.name!r} at present; try again later")
        return text.decode()

    @redis_errors()
    def keep_pace(self, name: str, step_seconds: float) -> None:
        """Include the wall seconds per denoising step of a finished edit in the model's average pace."""
        self._pace(args=[name, step_seconds, PACE_WEIGHT])
