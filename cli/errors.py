"""Expected failures of a command: a sentence on the console and an exit status, no traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from cli.console import make_console
from cli.processes.embedded_redis import EmbeddedRedisError
from cli.processes.stack import StackError
from cli.processes.supervisor import ProgramDied
from jobs.settings import Settings, explain, unknown_variables
from magedit.client import ServiceError


class InvalidSetting(Exception):
    """An environment variable or the corresponding option has an invalid value."""


class ModelUnavailable(Exception):
    """The checkpoint cannot be loaded in this process; the message says which and why."""


def read_settings(**given: Any) -> Settings:
    """The settings from the environment and the given overrides; warns of unknown variables.

    Raises:
        InvalidSetting: names the variable and what is wrong with it.
    """
    console = make_console(stderr=True)
    for warning in unknown_variables():
        console.print(f"warning: {warning}", style="yellow")
    try:
        return Settings(**given)
    except ValidationError as error:
        raise InvalidSetting(explain(error)) from error


@contextmanager
def explained(console: Console) -> Iterator[None]:
    """Print the error and exit with status 1."""
    try:
        yield
    except ServiceError as error:
        console.print(Text.assemble((error.problem.title, "red"), f": {error.problem.detail}"))
        raise typer.Exit(1) from error
    except (StackError, ProgramDied, EmbeddedRedisError, InvalidSetting, ModelUnavailable) as error:
        console.print(Text(str(error), "red"))
        raise typer.Exit(1) from error
    except httpx.TransportError as error:
        console.print(Text(f"the service cannot be reached: {error}", "red"))
        raise typer.Exit(1) from error
