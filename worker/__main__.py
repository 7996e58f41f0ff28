"""`python -m worker`: loads and warms the model once, announces it, then works until SIGTERM or SIGINT."""

from __future__ import annotations

import os
import sys
import threading
import time

import structlog

from jobs.connection import connect, redis_errors
from jobs.durability import warn_unless_durable
from jobs.errors import QueueUnavailable
from jobs.models import ModelInfo, Models
from jobs.observability.tracing import tracer, tracer_provider
from jobs.process import refuse_arguments, start
from jobs.settings import Settings
from jobs.storage import ObjectStore
from magedit.errors import CheckpointError
from worker.attempt import AWAY_PAUSE_S
from worker.heartbeat import EXIT_RESTART
from worker.models.served_model import ServedModel
from worker.models.shelf import Shelf
from worker.reaper import Reaper
from worker.rq_worker import RqWorker
from worker.sd_notify import Supervisor
from worker.telemetry import Observer, offer
from worker.webhooks.delivery import Deliverer

# How long a stopping worker waits for the end of its reaper, and of its deliveries, in seconds.
JOIN_S = 5.0

log = structlog.get_logger()


def serve(served: ServedModel | Shelf, settings: Settings) -> int:
    """Run a worker, a reaper and a deliverer with a loaded model until stopped; returns the exit status."""
    store = ObjectStore.from_settings(settings)
    stop = threading.Event()
    tracing = tracer_provider(settings, "worker")
    shelf = Shelf.of(served)
    observer = Observer(*shelf.names, tracer=tracer(tracing))
    offer(observer.registry, settings)
    sweeping = Reaper(connect(settings), store, settings, observer.recovered)
    telling = Deliverer(connect(settings), settings, told=observer.delivered)
    reaper = threading.Thread(target=sweeping.run, args=(stop,), name="reaper", daemon=True)
    deliverer = threading.Thread(target=telling.run, args=(stop,), name="deliverer", daemon=True)
    for info, _ in shelf.described:
        warn_of_another(Models(connect(settings)), info)
    worker = RqWorker(connect(settings), connect(settings), store, shelf, settings, observer)
    log.info("worker ready", worker=worker.name, models=list(shelf.names), device=shelf.described[0].info.device)
    reaper.start()
    deliverer.start()
    try:
        worker.work(logging_level="WARNING")
    finally:
        stop.set()
        # Slow storage or receivers must not delay the end: both threads can be cut off at any point.
        end = time.monotonic() + JOIN_S
        for each in (reaper, deliverer):
            each.join(max(0.0, end - time.monotonic()))
        if tracing is not None:
            tracing.shutdown()
    if worker.done:
        return 0
    log.error("the worker ended without being stopped: a new process is needed")
    return EXIT_RESTART


def warn_of_another(models: Models, info: ModelInfo) -> None:
    """Log a warning if a live worker serves another checkpoint under the same name."""
    status = models.all().get(info.name)
    if status is not None and status.workers and status.info.checkpoint != info.checkpoint:
        log.warning(
            "another worker serves a different checkpoint under this name, and edits go to either: give one of them "
            "another MAGEDIT_MODEL",
            model=info.name,
            checkpoint=info.checkpoint,
            other=status.info.checkpoint,
        )


def await_redis(settings: Settings) -> None:
    """Return once Redis answers: exiting while it starts would gain nothing."""
    redis, supervisor = connect(settings), Supervisor(settings.heartbeat_file)
    while True:
        supervisor.alive()
        try:
            with redis_errors():
                redis.ping()
            warn_unless_durable(redis)
            return
        except QueueUnavailable:
            log.warning("waiting for Redis")
            time.sleep(AWAY_PAUSE_S)


def main() -> int:
    """Run one worker; returns the exit status, EX_CONFIG if a restart with the same settings cannot help."""
    settings = start()
    Supervisor(settings.heartbeat_file).starting()
    try:
        served = Shelf.from_settings(settings)
    except CheckpointError as error:
        log.error("the checkpoint cannot be used", checkpoint=settings.checkpoint or "demo", reason=error.message)
        return os.EX_CONFIG
    await_redis(settings)
    return serve(served, settings)


if __name__ == "__main__":
    refuse_arguments("worker", "Loads the models, then runs jobs until SIGTERM or SIGINT.")
    sys.exit(main())
