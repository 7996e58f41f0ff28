"""What can be expected to go wrong ends a command with a sentence, not with a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import typer
from pydantic import ValidationError
from rich.console import Console

from cli.embedded_redis import EmbeddedRedisError
from cli.stack import StackError
from cli.supervisor import ProgramDied
from jobs.settings import Settings
from magedit.client import ServiceError


class WrongSetting(Exception):
    """A variable of the environment, or an option in its place, is not what its setting takes."""


class NoModel(Exception):
    """The checkpoint cannot be loaded in this process; the message says which and why."""


def read_settings(**given: Any) -> Settings:
    """The settings of the environment with those given in their place.

    Raises:
        WrongSetting: names the variable and what is wrong with it.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        names = ("_".join(str(part) for part in each["loc"]).upper() for each in error.errors())
        reasons = (each["msg"] for each in error.errors())
        told = "; ".join(f"MAGEDIT_{name}: {reason}" for name, reason in zip(names, reasons, strict=True))
        raise WrongSetting(told) from error


@contextmanager
def explained(console: Console) -> Iterator[None]:
    """Print what went wrong and leave with status 1."""
    try:
        yield
    except ServiceError as error:
        console.print(f"[red]{error.problem.title}[/red]: {error.problem.detail}")
        raise typer.Exit(1) from error
    except (StackError, ProgramDied, EmbeddedRedisError, WrongSetting, NoModel) as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from error
    except httpx.TransportError as error:
        console.print(f"[red]the service cannot be reached: {error}[/red]")
        raise typer.Exit(1) from error
