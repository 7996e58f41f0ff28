"""The models of a service, on its Redis: listed, declared, forgotten."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from cli.admin.service_redis import service_redis
from cli.console import make_console
from cli.errors import explained, read_settings
from jobs.errors import JobError
from jobs.models import ModelOrder, Models, ModelStatus
from jobs.queue import JobQueue
from jobs.records.store import Records
from jobs.settings import Settings

Name = Annotated[str, typer.Argument(help="Name of the model, as shown by `list`.")]


def list_models() -> None:
    """List every model of the service with its workers, queued edits and declaration."""
    console = make_console()
    with service_redis() as redis:
        table = Table("name", "workers", "waiting", "declared", "checkpoint")
        queue = JobQueue(redis, Records(redis, Settings()))
        for name, status in Models(redis).all().items():
            declared = "yes" if status.is_declared else ""
            table.add_row(name, str(status.workers), str(queue.depth(name)), declared, status.info.checkpoint)
        console.print(table if table.row_count else "no model yet: a worker announces its own when it starts")


def declare(
    name: Name,
    *,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Folder, hub id or file of its checkpoint, which is loaded here for inspection. Default: the last "
            "announcement of its workers; `demo` is the shipped one."
        ),
    ] = None,
) -> None:
    """Let a model accept edits while no worker serves it; they wait for one, and an autoscaler can react to them."""
    console = make_console()
    with service_redis() as redis:
        models = Models(redis)
        if checkpoint is None:
            known = _known(models, name)
            models.declare(known.info, _tokenizer(models, known))
        else:
            # torch is imported only here.
            from cli.local_edit import load_checkpoint

            own = {} if checkpoint == "demo" else {"checkpoint": checkpoint}
            with explained(console), console.status("loading the checkpoint"):
                served = load_checkpoint(read_settings(model=name, preview_interval_s=0, **own))
            models.declare(served.info, served.tokenizer_json)
        console.print(f"{name} is declared: it accepts edits with or without a worker")


def forget(name: Name) -> None:
    """End the declaration: without a worker, the model is then unknown and new edits for it are rejected."""
    console = make_console()
    with service_redis() as redis:
        models = Models(redis)
        if not models.forget(name):
            raise typer.BadParameter(f"{name!r} is not declared; `magedit models list` shows declared models")
        waiting = JobQueue(redis, Records(redis, Settings())).depth(name)
        rest = f"; {waiting} edit(s) still wait for a worker" if waiting else ""
        console.print(f"{name} is no longer declared{rest}")


def load(name: Name) -> None:
    """Load this model on the workers that serve several models, each as soon as it is idle."""
    _order(name, "load")


def unload(name: Name) -> None:
    """Unload this model on the workers that serve several models; the next edit for it loads it again."""
    _order(name, "unload")


def _order(name: str, order: ModelOrder) -> None:
    with service_redis() as redis:
        models = Models(redis)
        if not (known := _known(models, name)).workers:
            raise typer.BadParameter(f"no worker serves {name!r} now")
        models.order(name, order)
        make_console().print(f"{known.workers} worker(s) {order} {name} when idle, those that serve several models")


def _known(models: Models, name: str) -> ModelStatus:
    known = models.all()
    if name not in known:
        there = ", ".join(known) or "none yet"
        raise typer.BadParameter(
            f"no worker has announced a model {name!r} (announced: {there}): give its --checkpoint, or start a worker"
        )
    return known[name]


def _tokenizer(models: Models, known: ModelStatus) -> str:
    try:
        return models.tokenizer_json(known.info)
    except JobError as error:
        raise typer.BadParameter(
            f"the tokenizer of {known.info.name!r} is no longer stored: give its --checkpoint, or start a worker"
        ) from error


def register(app: typer.Typer) -> None:
    """Add the commands to a group."""
    app.command("list")(list_models)
    app.command()(declare)
    app.command()(forget)
    app.command()(load)
    app.command()(unload)
