"""`magedit list`, `show`, `cancel` and `delete`: edits of a running service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.console import make_console
from cli.display import describe, print_finished
from cli.errors import explained
from magedit.client import Client, Edit, State

API_KEY = "MAGEDIT_API_KEY"
"""Environment variable with the user's API key."""

DEFAULT_SERVER = "http://127.0.0.1:8000"

EditId = Annotated[str, typer.Argument(metavar="ID", help="Id of the edit.")]
Server = Annotated[str, typer.Option(help="Address of the service.", metavar="URL")]
Key = Annotated[str | None, typer.Option(envvar=API_KEY, metavar="KEY", help="API key, if the service requires one.")]


@contextmanager
def _service(server: str, key: str | None) -> Iterator[tuple[Client, Console]]:
    console = make_console()
    with explained(console), Client(server, key=key) as client:
        yield client, console


def show(edit_id: EditId, server: Server = DEFAULT_SERVER, key: Key = None) -> None:
    """Show an edit: its state, and its ratios and cost once it has finished."""
    with _service(server, key) as (client, console):
        found = client.get(edit_id)
        console.print(f"edit {found.id}: {describe(found)}")
        if found.problem:
            console.print(f"{found.problem.title}: {found.problem.detail}")
        print_finished(found, console)


def list_edits(
    *,
    state: Annotated[State | None, typer.Option(help="Only edits in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Number of edits, newest first.")] = 20,
    server: Server = DEFAULT_SERVER,
    key: Key = None,
) -> None:
    """List your edits, newest first."""
    with _service(server, key) as (client, console):
        page = client.list(state=state, limit=limit)
        table = Table("id", "created", "model", "state", box=None, pad_edge=False)
        table.columns[0].no_wrap = True
        for each in page.edits:
            table.add_row(each.id, _local_time(each), each.model, describe(each))
        console.print(table if page.edits else "no edits")
        if page.next_cursor:
            console.print(f"there are more edits: raise --limit above {limit}")


def cancel(edit_id: EditId, server: Server = DEFAULT_SERVER, key: Key = None) -> None:
    """Cancel an edit that has not finished."""
    with _service(server, key) as (client, console):
        console.print(f"edit {edit_id}: {describe(client.cancel(edit_id))}")


def delete(edit_id: EditId, server: Server = DEFAULT_SERVER, key: Key = None) -> None:
    """Delete an edit and all its pictures; one that runs is canceled."""
    with _service(server, key) as (client, console):
        client.delete(edit_id)
        console.print(f"edit {edit_id}: deleted")


def status(edit_id: EditId) -> None:
    """Renamed: use `show`."""
    raise typer.BadParameter(f"`magedit status` is now `magedit show {edit_id}`")


def _local_time(edit: Edit) -> str:
    return edit.timings.created_at.astimezone().strftime("%Y-%m-%d %H:%M")
