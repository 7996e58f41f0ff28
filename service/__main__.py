"""`python -m service`: serve the front end until SIGINT or SIGTERM."""

from __future__ import annotations

import socket
import sys
from contextlib import suppress

import uvicorn
from fastapi import FastAPI

from jobs.process import refuse_arguments, start
from service.app import create_app

KEEP_ALIVE_S = 75
STARTUP_FAILURE = 3
"""Exit status if the address cannot be bound or the application fails to start, as uvicorn.run has it."""

GRACE_S = 8
"""Time to finish running requests on shutdown, in seconds."""


class Server(uvicorn.Server):
    """Answers requests that wait for an edit as soon as it shuts down."""

    def __init__(self, app: FastAPI, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End waits and event streams, then finish the requests that run."""
        await self._app.state.watch.close()
        await super().shutdown(sockets)


def main() -> None:
    """Read the settings and serve."""
    settings = start()
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.api_host,
        port=settings.api_port,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        # The one of uvicorn's two parsers that bounds a request's head (64 KiB); the other has no limit.
        http="h11",
        server_header=False,
        log_config=None,
        # `service.middleware.request_id` logs the responses.
        access_log=False,
    )
    server = Server(app, config)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


if __name__ == "__main__":
    refuse_arguments("service", "Serves the HTTP API until SIGTERM or SIGINT.")
    main()
