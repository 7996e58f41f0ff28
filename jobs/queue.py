"""The queue: RQ, one queue a model, carrying ids only. What an id stands for is in its record."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, cast

from redis import Redis
from rq import Queue
from rq.exceptions import DuplicateJobError
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker_registration import clean_worker_registry

from jobs import keys
from jobs.connection import redis_errors
from jobs.records import Records
from jobs.schema import JobRecord, State

# What a job is called in RQ. Workers take jobs of this name only, and call their own function: nothing that
# is written in Redis is ever imported.
TASK = "worker.edit.run"


def queue_name(model: str) -> str:
    """RQ's name of a model's queue."""
    return f"magedit:{model}"


class JobQueue:
    """Puts edits in line and finds them there. Safe to share between threads.

    Every method raises `QueueUnavailable` while Redis is away.
    """

    def __init__(self, redis: Redis, records: Records) -> None:
        self._redis = redis
        self._records = records
        self._queues: dict[str, Queue] = {}

    def rq(self, model: str) -> Queue:
        """RQ's queue of a model. Kept, because each new one asks the server for its version."""
        if model not in self._queues:
            self._queues[model] = Queue(
                queue_name(model), connection=self._redis, serializer=JSONSerializer, default_timeout=-1
            )
        return self._queues[model]

    @redis_errors()
    def enqueue(self, record: JobRecord) -> None:
        """Put a created record in line. Repeatable: an edit that is in line stays where it is."""
        try:
            self.rq(record.model).enqueue_job(self._job(record.id, record.model), unique=True)
        except DuplicateJobError:
            return

    @redis_errors()
    def position(self, record: JobRecord) -> int | None:
        """How many edits are before this one in line (0: it is next), None if it is not in line."""
        if record.state is not State.QUEUED:
            return None
        return cast("int | None", self._redis.lpos(self.rq(record.model).key, record.id))

    @redis_errors()
    def depth(self, model: str) -> int:
        """How many edits are in line for the model."""
        return self._redis.llen(self.rq(model).key)

    def remove(self, record: JobRecord) -> None:
        """Take an edit out of RQ, wherever it is there."""
        self.remove_id(record.id, record.model)

    @redis_errors()
    def remove_id(self, job_id: str, model: str) -> None:
        """Take an id out of RQ, whether or not it has a record."""
        queue = self.rq(model)
        pipeline = self._redis.pipeline()
        pipeline.lrem(queue.key, 0, job_id)
        pipeline.lrem(queue.intermediate_queue_key, 0, job_id)
        pipeline.delete(Job.key_for(job_id))
        pipeline.execute()

    @redis_errors()
    def models(self) -> set[str]:
        """The models that have (had) a queue."""
        return {name.decode() for name in cast("set[bytes]", self._redis.smembers(keys.QUEUES))}

    def overdue(self, models: Iterable[str], grace_s: float) -> tuple[str, ...]:
        """The unfinished ids that have been in no line and under no lease for ``grace_s`` seconds."""
        return self._records.overdue([self.rq(model).key for model in models], grace_s)

    @redis_errors()
    def waiting(self, model: str) -> set[str]:
        """The ids in line for the model."""
        return {job_id.decode() for job_id in cast("list[bytes]", self._redis.lrange(self.rq(model).key, 0, -1))}

    @redis_errors()
    def taken(self, model: str) -> set[str]:
        """The ids that workers took from the line and have not finished (or died with)."""
        key = self.rq(model).intermediate_queue_key
        return {job_id.decode() for job_id in cast("list[bytes]", self._redis.lrange(key, 0, -1))}

    @redis_errors()
    def tidy(self, model: str) -> None:
        """Remove what killed workers leave in RQ's lists, and RQ's maintenance (which is off) would: it would also
        fail or requeue their jobs."""
        queue = self.rq(model)
        self._redis.zremrangebyscore(queue.started_job_registry.key, 0, time.time())
        clean_worker_registry(queue)

    def hand_back(self, claim: JobRecord) -> None:
        """Give a claimed edit back to the head of the line."""
        queue = self.rq(claim.model)
        self._records.hand_back(claim, queue.key, queue.intermediate_queue_key)

    @redis_errors()
    def requeue(self, record: JobRecord) -> State | None:
        """Put an edit that nobody holds back at the head of the line; returns as `Records.requeue`."""
        queue = self.rq(record.model)
        job = self._job(record.id, record.model)
        if not self._redis.exists(job.key):
            job.save()
        return self._records.requeue(record.id, queue.key, queue.intermediate_queue_key)

    def _job(self, job_id: str, model: str) -> Job:
        # No timeout: RQ's would raise in the middle of anything; the worker's watchdog stands in for it.
        arguments: dict[str, Any] = {"args": (job_id,), "job_id": job_id, "description": "edit"}
        return self.rq(model).create_job(TASK, **arguments)
