"""The `magedit` command: runs the service, its workers and the demo, and edits pictures."""

from __future__ import annotations

import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

import magedit
from cli import edits
from cli.admin import served_models
from cli.admin.keys import app as keys_app
from cli.admin.webhooks import app as webhooks_app
from cli.console import make_console
from cli.demo import report, run_demo
from cli.edit import edit
from cli.errors import explained, read_settings
from cli.mask import mask
from cli.models import app as models_app
from cli.options import with_config_options
from cli.processes.stack import Stack, free_port
from cli.processes.workers import environment_of, keep_working, worker_programs
from jobs.observability.logs import configure_logging
from magedit.demo import DEMO_EDITS, DEMO_MODELS

WATCH_S = 0.5
"""Pause between two checks of the processes, in seconds."""

app = typer.Typer(no_args_is_help=True, add_completion=False)

Workers = Annotated[int, typer.Option(min=1, help="Worker processes; each loads the checkpoint once.")]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"magedit {magedit.__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Localized image editing: edit a picture, or run the service and its workers."""


@app.command()
def up(
    workers: Workers = 1,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port of the front end; 0: any free one.")] = None,
) -> None:
    """Run the whole service on this machine until Ctrl-C. Edits and pictures are kept in the state folder."""
    console = make_console()
    with explained(console), _stop_signals() as stopped:
        settings = read_settings() if port is None else read_settings(api_port=port)
        # Without a Redis address, an embedded server is started.
        embedded = "redis_url" not in settings.model_fields_set
        with Stack(settings, workers=workers, embedded=embedded) as stack:
            console.print(f"starting; logs are in {stack.logs}")
            stack.wait_ready(stopped.is_set, console.print)
            if not stopped.is_set():
                console.print(f"ready: {stack.url} (API: {stack.url}/docs); Ctrl-C stops it")
                if settings.model != stack.settings.default_model:
                    console.print(
                        f"requests must name model={settings.model}: the default model, "
                        f"{stack.settings.default_model}, has no worker here (MAGEDIT_DEFAULT_MODEL)"
                    )
            while not stopped.wait(WATCH_S):
                for name in stack.revive():
                    console.print(f"{name} had ended and was restarted")
            console.print("stopping")


@app.command()
def worker(workers: Workers = 1) -> None:
    """Keep worker processes alive until SIGTERM or Ctrl-C. Settings are those of `python -m worker`."""
    with explained(make_console(stderr=True)):
        settings = read_settings()
        configure_logging()
        status = keep_working(worker_programs(settings, workers, environment_of(settings)))
    raise typer.Exit(status)


app.command()(edit)
served_models.register(models_app)
app.command()(mask)
app.add_typer(models_app, name="models")
app.add_typer(keys_app, name="keys")
app.add_typer(webhooks_app, name="webhooks")


app.command("list")(edits.list_edits)
app.command()(edits.show)
app.command()(edits.cancel)
app.command()(edits.delete)
app.command(hidden=True)(edits.status)


@app.command()
@with_config_options
def demo(
    name: Annotated[str, typer.Argument(help=f"Demo edit to run: {', '.join(DEMO_EDITS)}.")] = "picture",
    *,
    model: Annotated[str, typer.Option(help=f"Shipped model to use: {', '.join(DEMO_MODELS)}.")] = "demo",
    out: Annotated[Path, typer.Option(file_okay=False, help="Output folder for the pictures.")] = Path("demo-output"),
    **config: Any,
) -> None:
    """Start the service, run one demo edit, save its pictures and stop the service."""
    if name not in DEMO_EDITS:
        raise typer.BadParameter(f"there is no demo edit {name!r}; there are: {', '.join(DEMO_EDITS)}")
    if model not in DEMO_MODELS:
        raise typer.BadParameter(f"there is no demo model {model!r}; there are: {', '.join(DEMO_MODELS)}")
    console = make_console()
    # SIGTERM unwinds the context managers too, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with explained(console), tempfile.TemporaryDirectory(prefix="magedit-") as folder:
        # A separate stack, isolated from any service already running here.
        own: dict[str, Any] = {
            "api_host": "127.0.0.1",
            "api_port": free_port(),
            "state_dir": Path(folder),
            "storage_url": None,
        }
        if model != "demo":
            own |= {"model": model, "default_model": model, "checkpoint": str(DEMO_MODELS[model]())}
        settings = read_settings(**own, auth="off")
        with Stack(settings, workers=1, embedded=True) as stack:
            with console.status("starting the service"):
                stack.wait_ready(tell=console.print)
            console.print(f"service at {stack.url}: front end, Redis, one worker with its checkpoint loaded")
            report(run_demo(stack.url, name, out, console, **config), console)


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set instead of interrupting the program."""
    stopped = threading.Event()
    previous = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    app()
