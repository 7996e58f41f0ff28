"""Shared resources of a front-end process: settings, records, queue, models, object storage."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from redis import Redis

from jobs.admission import Room
from jobs.connection import connect
from jobs.models import ModelInfo, Models, ModelsSnapshot
from jobs.queue import JobQueue
from jobs.records.idempotency import IdempotencyKeys
from jobs.records.previews import Previews
from jobs.records.store import Records
from jobs.settings import Settings
from jobs.storage import ObjectStore
from jobs.tenants.usage import UsageCounts
from jobs.webhooks.deliveries import Deliveries
from magedit.instructions.reading import ReadInstruction, read_by_rules
from magedit.prompts.alignment import Tokenize, from_tokenizers

if TYPE_CHECKING:
    from magedit.instructions.language_model import LanguageModel


class RecentLook:
    """Cached snapshot of the models, read at most once every ``cache_s`` seconds: every status request needs their pace
    for its estimate. Safe to share between threads."""

    def __init__(self, models: Models, *, cache_s: float) -> None:
        self._models = models
        self._cache_s = cache_s
        self._found: tuple[ModelsSnapshot, float] | None = None

    def __call__(self) -> ModelsSnapshot:
        """A recent snapshot of the models, with the current time. Raises QueueUnavailable."""
        found, at = self._found, time.monotonic()
        if found is None or at - found[1] >= self._cache_s:
            # Two threads may read at a time; either snapshot will do.
            found = self._found = (self._models.snapshot(), at)
        snapshot, since = found
        return snapshot._replace(now=snapshot.now + at - since)


def language_model_of(settings: Settings) -> LanguageModel | None:
    """The language model that parses instructions; None: rules only."""
    if not settings.instruction_url:
        return None
    from magedit.instructions.language_model import LanguageModel

    return LanguageModel(
        settings.instruction_url,
        settings.instruction_model,
        key=settings.instruction_key.get_secret_value() if settings.instruction_key else None,
        timeout_s=settings.instruction_timeout_s,
    )


@dataclass(frozen=True, kw_only=True)
class Backend:
    """The front end's side of `jobs`. Safe to share between threads."""

    settings: Settings
    redis: Redis
    records: Records
    queue: JobQueue
    models: Models
    store: ObjectStore
    idempotency: IdempotencyKeys
    usage: UsageCounts
    deliveries: Deliveries
    previews: Previews
    room: Room
    snapshot: RecentLook
    language_model: LanguageModel | None = None
    _tokenizers: dict[str, Tokenize] = field(default_factory=dict)

    @classmethod
    def open(cls, settings: Settings) -> Backend:
        """Build the clients; they connect on first use."""
        redis = connect(settings)
        records, models = Records(redis, settings), Models(redis)
        return cls(
            settings=settings,
            redis=redis,
            records=records,
            queue=JobQueue(redis, records),
            models=models,
            snapshot=RecentLook(models, cache_s=settings.model_cache_s),
            store=ObjectStore.from_settings(settings),
            idempotency=IdempotencyKeys(redis, settings),
            usage=UsageCounts(redis),
            deliveries=Deliveries(redis),
            previews=Previews(redis),
            room=Room(redis, settings),
            language_model=language_model_of(settings),
        )

    def close(self) -> None:
        """Close the connections."""
        self.redis.close()
        if self.language_model is not None:
            self.language_model.close()

    @property
    def read_instruction(self) -> ReadInstruction:
        """The parser of instructions."""
        return self.language_model or read_by_rules

    def tokenizer(self, info: ModelInfo) -> Tokenize:
        """The tokenizer that the model's workers announced, cached. Raises NoWorkerForModel."""
        known = self._tokenizers.get(info.tokenizer_sha256)
        if known is None:
            known = from_tokenizers(self.models.tokenizer_json(info))
            self._tokenizers[info.tokenizer_sha256] = known
        return known
