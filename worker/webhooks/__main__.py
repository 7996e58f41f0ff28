"""`python -m worker.webhooks`: delivers webhooks until SIGTERM or SIGINT."""

from __future__ import annotations

import signal
import threading

import structlog

from jobs.connection import connect
from jobs.process import refuse_arguments, start
from worker.sd_notify import Supervisor
from worker.webhooks.delivery import Deliverer

log = structlog.get_logger()


def main() -> None:
    """Deliver until SIGTERM or SIGINT."""
    settings = start()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log.info("deliverer ready")
    supervisor = Supervisor(settings.heartbeat_file)
    supervisor.starting()
    Deliverer(connect(settings), settings).run(stop, supervisor.alive)


if __name__ == "__main__":
    refuse_arguments("worker.webhooks", "Delivers webhooks until SIGTERM or SIGINT.")
    main()
