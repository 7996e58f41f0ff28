"""`python -m service`: serve the front end until SIGINT or SIGTERM."""

from __future__ import annotations

import uvicorn

from jobs.process import start
from service.app import create_app

KEEP_ALIVE_S = 75
GRACE_S = 8
"""Time to finish running requests when stopped, in seconds."""


def main() -> None:
    """Read the settings and serve."""
    settings = start()
    uvicorn.run(
        create_app(settings),
        host=settings.api_host,
        port=settings.api_port,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        # Of uvicorn's two parsers the one that bounds a request's head (64 KiB); the other reads on without end.
        http="h11",
        server_header=False,
        log_config=None,
        # `service.middleware.request_id` logs what is answered.
        access_log=False,
    )


if __name__ == "__main__":
    main()
