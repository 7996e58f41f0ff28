"""The RQ queue: one per model and priority, holding ids; the data is in the records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, cast

from redis import Redis
from rq import Queue
from rq.exceptions import DuplicateJobError
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker_registration import clean_worker_registry

from jobs import keys
from jobs.connection import redis_errors
from jobs.lua import load
from jobs.records.outcomes import Place
from jobs.records.store import Records
from jobs.schema import PRIORITIES, AnyRecord, JobRecord, Priority, State, id_time

# Function name of a job in RQ. Workers take jobs of this name only and call their own function: nothing that
# is stored in Redis is ever imported.
TASK = "worker.edit.run"


def queue_name(model: str, priority: Priority = "normal") -> str:
    """RQ's name of the queue of a model and priority."""
    return f"magedit:{model}" if priority == "normal" else f"magedit:{model}:{priority}"


def model_of(name: str) -> str:
    """The model of the RQ queue with this name."""
    return name.split(":")[1]


class JobQueue:
    """Enqueues edits and finds them in the queue. Safe to share between threads.

    A model has one line (a list of waiting ids) per priority, and one list of taken ids. Every method raises
    `QueueUnavailable` while Redis is away.
    """

    def __init__(self, redis: Redis, records: Records) -> None:
        self._redis = redis
        self._records = records
        self._queues: dict[str, Queue] = {}
        self._ring = redis.register_script(load("queue/ring_bell"))
        self._take = redis.register_script(load("queue/dequeue"))

    def rq(self, model: str, priority: Priority = "normal") -> Queue:
        """RQ's queue of a model and priority. Cached, because creating one queries the server's version."""
        name = queue_name(model, priority)
        if name not in self._queues:
            self._queues[name] = Queue(name, connection=self._redis, serializer=JSONSerializer, default_timeout=-1)
        return self._queues[name]

    # Keys

    def line(self, model: str, priority: Priority = "normal") -> str:
        """Key of the list of waiting ids, the next one first."""
        return str(self.rq(model, priority).key)

    def lines(self, model: str) -> list[str]:
        """Keys of the model's lines, in the order of service."""
        return [self.line(model, priority) for priority in PRIORITIES]

    def _taken(self, model: str) -> str:
        return str(self.rq(model).intermediate_queue_key)

    def _lists(self, record: JobRecord | Place) -> list[str]:
        """The lists that `Records.requeue` and `Records.hand_back` change."""
        return [self.line(record.model, record.priority), self._taken(record.model), keys.BELL + record.model]

    # The front end's side

    @redis_errors()
    def enqueue(self, record: JobRecord) -> None:
        """Append a created record to its line. Repeatable: an edit that is in line keeps its place."""
        with suppress(DuplicateJobError):
            self.rq(record.model, record.priority).enqueue_job(self._job(record), unique=True)
        # Also for a duplicate, which may stem from this call's first try, whose reply was lost before the bell rang.
        self._ring(keys=[keys.BELL + record.model])

    def position(self, record: JobRecord) -> int | None:
        """Number of edits ahead of this one in line (0: it is next); None if it is not in line."""
        return self.positions([record])[0]

    @redis_errors()
    def positions(self, records: Sequence[AnyRecord]) -> tuple[int | None, ...]:
        """`position` of each record, in one round trip for all."""
        waiting = [record for record in records if record.state is State.QUEUED]
        if not waiting:
            return (None,) * len(records)
        lines = [line for model in dict.fromkeys(record.model for record in waiting) for line in self.lines(model)]
        with self._redis.pipeline() as pipeline:
            for line in lines:
                pipeline.llen(line)
            for record in waiting:
                pipeline.lpos(self.line(record.model, record.priority), record.id)
            answers = cast("list[int | None]", pipeline.execute())
        lengths = dict(zip(lines, answers, strict=False))
        places: dict[str, int | None] = {}
        for record, place in zip(waiting, answers[len(lines) :], strict=True):
            before = self.lines(record.model)[: PRIORITIES.index(record.priority)]
            places[record.id] = None if place is None else place + sum(lengths[line] or 0 for line in before)
        return tuple(places.get(record.id) for record in records)

    @redis_errors()
    def depth(self, model: str, priority: Priority | None = None) -> int:
        """Number of edits in line for the model (of one priority, if given)."""
        with self._redis.pipeline() as pipeline:
            for line in [self.line(model, priority)] if priority else self.lines(model):
                pipeline.llen(line)
            return sum(pipeline.execute())

    @redis_errors()
    def age_s(self, model: str, priority: Priority) -> float:
        """Age in seconds of the next edit in this line, by the clock of the machine that made its id; 0 if the line
        is empty."""
        first = cast("bytes | None", self._redis.lindex(self.line(model, priority), 0))
        made = id_time(first.decode()) if first else None
        return max(0.0, self._records.now() - made) if made is not None else 0.0

    def remove(self, record: AnyRecord | Place) -> None:
        """Remove an edit from all of RQ's lists."""
        self.remove_id(record.id, record.model)

    @redis_errors()
    def remove_id(self, job_id: str, model: str) -> None:
        """Remove an id from all of RQ's lists, whether or not it has a record."""
        with self._redis.pipeline() as pipeline:
            for each in (*self.lines(model), self._taken(model)):
                pipeline.lrem(each, 0, job_id)
            pipeline.delete(Job.key_for(job_id))
            pipeline.execute()

    # The worker's side

    @redis_errors()
    def dequeue(self, model: str) -> tuple[str, Priority] | None:
        """Move the next id to the list of taken ids, atomically; returns it and its priority, None if nothing waits."""
        taken = self._take(keys=[*self.lines(model), self._taken(model), keys.BELL + model])
        return (taken[0].decode(), PRIORITIES[taken[1] - 1]) if taken else None

    @redis_errors()
    def await_bell(self, models: Sequence[str], timeout_s: float) -> None:
        """Block until an edit is enqueued for one of the models, at most ``timeout_s`` seconds."""
        self._redis.blpop([keys.BELL + model for model in models], timeout_s)

    @redis_errors()
    def waiting_since(self, models: Sequence[str]) -> dict[str, float]:
        """Creation time of the next edit in line, in Unix seconds, for each model that has one; one round trip."""
        lines = [(model, line) for model in models for line in self.lines(model)]
        with self._redis.pipeline(transaction=False) as pipeline:
            for _, line in lines:
                pipeline.lindex(line, 0)
            heads = cast("list[bytes | None]", pipeline.execute())
        found: dict[str, float] = {}
        for (model, _), head in zip(lines, heads, strict=True):
            if head is not None:
                # The line is read first; an id of another kind is taken at once.
                found.setdefault(model, id_time(head.decode()) or 0.0)
        return found

    def hand_back(self, claim: JobRecord, *, counts: bool = False) -> State | None:
        """Return a claimed edit to the head of its line; as `Records.hand_back`."""
        return self._leave(claim, self._records.hand_back(claim, self._lists(claim), counts=counts))

    # The reaper's side

    @redis_errors()
    def models(self) -> set[str]:
        """The models that have (had) a queue."""
        return {name.decode() for name in cast("set[bytes]", self._redis.smembers(keys.QUEUES))}

    def overdue(self, models: Iterable[str], grace_s: float) -> tuple[str, ...]:
        """The unfinished ids that have been in no line and under no lease for ``grace_s`` seconds."""
        return self._records.overdue([line for model in models for line in self.lines(model)], grace_s)

    @redis_errors()
    def waiting(self, model: str) -> set[str]:
        """The ids in line for the model."""
        return self._ids(*self.lines(model))

    @redis_errors()
    def taken(self, model: str) -> set[str]:
        """The ids that workers took from the line and have not finished, dead workers included."""
        return self._ids(self._taken(model))

    def _ids(self, *lists: str) -> set[str]:
        with self._redis.pipeline() as pipeline:
            for each in lists:
                pipeline.lrange(each, 0, -1)
            return {job_id.decode() for ids in cast("list[list[bytes]]", pipeline.execute()) for job_id in ids}

    @redis_errors()
    def tidy(self, model: str) -> None:
        """Remove what killed workers leave in RQ's lists. RQ's own maintenance, which is off, would also fail or
        requeue their jobs.

        An execution is over when its key has expired. The registry's scores do not help: they are times by the clock
        of the worker's machine.
        """
        for priority in PRIORITIES:
            queue = self.rq(model, priority)
            registry = queue.started_job_registry.key
            for execution in cast("list[bytes]", self._redis.zrange(registry, 0, -1)):
                if not self._redis.exists(b"rq:execution:" + execution):
                    self._redis.zrem(registry, execution)
            clean_worker_registry(queue)

    @redis_errors()
    def requeue(self, record: JobRecord | Place) -> State | None:
        """Put an edit that nobody holds back at the head of its line; returns as `Records.requeue`."""
        job = self._job(record)
        if not self._redis.exists(job.key):
            job.save()
        return self._leave(record, self._records.requeue(record.id, self._lists(record)))

    def _leave(self, record: JobRecord | Place, state: State | None) -> State | None:
        """Remove the edit from RQ if it ended instead of returning to its line."""
        over = state.is_terminal if state else not self._records.open_among([record.id])
        if over:
            self.remove(record)
        return state

    def _job(self, record: JobRecord | Place) -> Job:
        # No timeout: RQ's would raise at any point of the edit; the worker's watchdog takes its place.
        arguments: dict[str, Any] = {"args": (record.id,), "job_id": record.id, "description": "edit"}
        return self.rq(record.model, record.priority).create_job(TASK, **arguments)
