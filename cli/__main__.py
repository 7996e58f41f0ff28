"""`magedit`: start the service on this machine, submit edits, look at them, see the demo."""

from __future__ import annotations

import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from pydantic import ValidationError
from rich.console import Console

from cli.client import Client, Edit, ServiceError
from cli.demo import report, run_demo
from cli.embedded_redis import EmbeddedRedisError
from cli.options import json_array, with_config_options
from cli.processes import ProgramDied
from cli.show import cost, describe, follow, measures_table
from cli.stack import Stack, StackError, free_port
from cli.workers import environment_of, keep_working, worker_programs
from jobs.logs import configure_logging
from jobs.schema import OutputFormat, Priority
from jobs.settings import Settings
from magedit.config import MaskMode
from magedit.demo import DEMO_EDITS

WATCH_S = 0.5
"""Pause between two looks at the processes, in seconds."""

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

Server = Annotated[str, typer.Option(help="Address of the service.")]
Workers = Annotated[int, typer.Option(min=1, help="Worker processes; each loads the checkpoint once.")]
DEFAULT_SERVER = "http://127.0.0.1:8000"


@app.command()
def up(
    workers: Workers = 1,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port of the front end; 0: any free one.")] = None,
) -> None:
    """Serve on this machine until Ctrl-C. Edits and pictures stay in the state folder for the next time."""
    console = Console()
    with _explained(console), _stop_signals() as stopped:
        settings = _settings() if port is None else _settings(api_port=port)
        # Without an address of a Redis server one is started here.
        embedded = "redis_url" not in settings.model_fields_set
        with Stack(settings, workers=workers, embedded=embedded) as stack:
            console.print(f"starting; logs are in {stack.logs}")
            stack.wait_ready(stopped.is_set)
            if not stopped.is_set():
                console.print(f"ready: {stack.url} (contract: {stack.url}/docs); Ctrl-C stops it")
            while not stopped.wait(WATCH_S):
                for name in stack.revive():
                    console.print(f"{name} had ended and was started again")
            console.print("stopping")


@app.command()
def worker(workers: Workers = 1) -> None:
    """Work: keep worker processes alive until SIGTERM or Ctrl-C. Settings are those of `python -m worker`."""
    with _explained(Console(stderr=True)):
        settings = _settings()
        configure_logging()
        keep_working(worker_programs(settings, workers, environment_of(settings)))


@app.command()
@with_config_options
def edit(
    image: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The picture to edit.")],
    *,
    mask: Annotated[
        list[Path], typer.Option(exists=True, dir_okay=False, help="Where to edit; repeat it for several regions.")
    ],
    source_prompt: Annotated[str, typer.Option("--from", help="What the picture shows.")],
    target_prompt: Annotated[str, typer.Option("--to", help="What it shall show.")],
    out: Annotated[Path, typer.Option(dir_okay=False, help="Where to save the result.")],
    server: Server = DEFAULT_SERVER,
    words: Annotated[
        list[str] | None,
        typer.Option(help="Word of the target prompt for the mask; repeatable. Default: the new ones."),
    ] = None,
    regions: Annotated[
        Any, typer.Option(metavar="JSON", parser=json_array, help="Several masks: one object of words per mask.")
    ] = None,
    mask_mode: Annotated[MaskMode | None, typer.Option(help="Which part of the mask is edited.")] = None,
    model: Annotated[str | None, typer.Option(help="Which model. Default: the service's own.")] = None,
    output_format: Annotated[OutputFormat | None, typer.Option(help="Format of the result.")] = None,
    priority: Annotated[Priority | None, typer.Option(help="`low`: after all normal edits.")] = None,
    deadline_s: Annotated[
        float | None, typer.Option(min=1, help="Seconds within which it must begin, or fail.")
    ] = None,
    artifacts: Annotated[
        list[str] | None, typer.Option(help="What to save besides, next to the result: `attention`.")
    ] = None,
    **config: Any,
) -> None:
    """Submit an edit, watch it, save the result. Ctrl-C cancels it."""
    console = Console()
    with _explained(console), Client(server) as client:
        submitted = client.submit(
            image,
            mask,
            source_prompt=source_prompt,
            target_prompt=target_prompt,
            words=words or (),
            artifacts=artifacts or (),
            regions=regions,
            mask_mode=mask_mode,
            model=model,
            output_format=output_format,
            priority=priority,
            deadline_s=deadline_s,
            **config,
        )
        console.print(f"edit {submitted.id}")
        done = follow(client, submitted.id, console)
        out.write_bytes(client.result(done.id))
        for each in done.artifacts:
            (out.parent / f"{out.stem}-{each.name}").write_bytes(client.artifact(done.id, each.name))
        _print_finished(done, console)
        console.print(f"saved {out}")


@app.command()
def status(edit_id: Annotated[str, typer.Argument(metavar="ID")], server: Server = DEFAULT_SERVER) -> None:
    """Say how an edit stands."""
    console = Console()
    with _explained(console), Client(server) as client:
        found = client.get(edit_id)
        console.print(f"edit {found.id}: {describe(found)}")
        if found.problem:
            console.print(f"{found.problem.title}: {found.problem.detail}")
        _print_finished(found, console)


@app.command()
@with_config_options
def demo(
    name: Annotated[str, typer.Argument(help=f"Which edit: {', '.join(DEMO_EDITS)}.")] = "pillow",
    *,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the pictures.")] = Path("demo-output"),
    **config: Any,
) -> None:
    """Start the service, run one edit through it, save its pictures, stop the service."""
    if name not in DEMO_EDITS:
        raise typer.BadParameter(f"there is no demo edit {name!r}; there are: {', '.join(DEMO_EDITS)}")
    console = Console()
    # SIGTERM unwinds the context managers too, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _explained(console), tempfile.TemporaryDirectory(prefix="magedit-") as folder:
        # A stack of its own: nothing of it meets a service that runs here already.
        settings = _settings(api_host="127.0.0.1", api_port=free_port(), state_dir=Path(folder), storage_url=None)
        with Stack(settings, workers=1, embedded=True) as stack:
            with console.status("starting the service"):
                stack.wait_ready()
            console.print(f"service at {stack.url}: front end, Redis, one worker with its checkpoint loaded")
            report(run_demo(stack.url, name, out, console, **config), console)


def _print_finished(edit: Edit, console: Console) -> None:
    if edit.measures is not None:
        console.print(measures_table(edit))
        console.print(cost(edit))


class WrongSetting(Exception):
    """A variable of the environment is not what its setting takes."""


def _settings(**given: Any) -> Settings:
    try:
        return Settings(**given)
    except ValidationError as error:
        names = ("_".join(str(part) for part in each["loc"]).upper() for each in error.errors())
        reasons = (each["msg"] for each in error.errors())
        told = "; ".join(f"MAGEDIT_{name}: {reason}" for name, reason in zip(names, reasons, strict=True))
        raise WrongSetting(told) from error


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, instead of ending the program in the middle of something."""
    stopped = threading.Event()
    previous = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _explained(console: Console) -> Iterator[None]:
    """What can be expected to go wrong ends the program with a sentence, not with a traceback."""
    try:
        yield
    except ServiceError as error:
        console.print(f"[red]{error.problem.title}[/red]: {error.problem.detail}")
        raise typer.Exit(1) from error
    except (StackError, ProgramDied, EmbeddedRedisError, WrongSetting) as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from error
    except httpx.TransportError as error:
        console.print(f"[red]the service cannot be reached: {error}[/red]")
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app()
