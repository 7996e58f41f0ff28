"""Start-up of every process: logging, settings, and warnings about unknown variables."""

from __future__ import annotations

import argparse
import os

import structlog
from pydantic import ValidationError

from jobs.observability.logs import configure_logging
from jobs.settings import Settings, explain, unknown_variables

log = structlog.get_logger()


def refuse_arguments(program: str, description: str) -> None:
    """Answer ``--help`` and refuse any other argument of ``python -m program``: settings come from variables.

    Raises:
        SystemExit: after the help, or the refusal of an argument.
    """
    told = f"{description} Settings are environment variables, MAGEDIT_..., listed in docs/reference/settings.md."
    argparse.ArgumentParser(prog=f"python -m {program}", description=told).parse_args()


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
