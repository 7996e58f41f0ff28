"""Start-up of every process: logging, settings, and warnings about unknown variables."""

from __future__ import annotations

import os

import structlog
from pydantic import ValidationError

from jobs.observability.logs import configure_logging
from jobs.settings import Settings, explain, unknown_variables

log = structlog.get_logger()


def start() -> Settings:
    """Configure logging and read the settings; unknown variables are logged.

    Raises:
        SystemExit: with EX_CONFIG, after logging an invalid setting: a restart would fail alike.
    """
    configure_logging()
    for warning in unknown_variables():
        log.warning(warning)
    try:
        return Settings()
    except ValidationError as error:
        log.error(explain(error))
        raise SystemExit(os.EX_CONFIG) from error
