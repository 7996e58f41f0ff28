"""`magedit models`: checkpoints inspected, models declared, listed, loaded and forgotten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.console import make_console
from cli.errors import ModelUnavailable, explained
from magedit.errors import CheckpointError

if TYPE_CHECKING:
    from magedit.backbones.base import AttentionSite
    from magedit.backbones.checkpoints.check import Fit

app = typer.Typer(no_args_is_help=True, help="Checkpoints, and the models of a service.")

GIB = 2**30


@app.callback()
def main() -> None:
    """Checkpoints, and the models of a service."""


@app.command()
def check(
    checkpoint: Annotated[str, typer.Argument(help="Folder, hub id, `.safetensors` or `.ckpt` file.")],
    *,
    dtype: Annotated[
        str, typer.Option(metavar="float32|bfloat16|float16", help="Number format for the memory estimate.")
    ] = "bfloat16",
    variant: Annotated[str | None, typer.Option(help="Variant of its files, such as `fp16`.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the hub.")] = None,
) -> None:
    """Report a checkpoint's family, supported methods, memory and missing parts.

    For a checkpoint on the hub, only the configs are downloaded. Exits with status 1 if it is not supported.
    """
    # torch is imported only by this command.
    from magedit.backbones.checkpoints.check import DTYPES, check

    if dtype not in DTYPES:
        raise typer.BadParameter(f"{dtype!r} is not a number format; use one of {', '.join(DTYPES)}")
    console = make_console()
    with explained(console):
        try:
            with console.status("counting"):
                found, fit = check(checkpoint, dtype=dtype, variant=variant, revision=revision)
        except CheckpointError as error:
            raise ModelUnavailable(str(error)) from error
    console.print(found.sentence, style="" if found.is_supported else "red")
    if fit is not None:
        _print(console, fit, dtype)
    if not found.is_supported:
        raise typer.Exit(1)


def _print(console: Console, fit: Fit, dtype: str) -> None:
    memory = fit.memory
    table = Table("", "", show_header=False)
    table.add_row(
        "picture", f"{fit.picture} px, a latent of {fit.latent}x{fit.latent}; prompts of {fit.max_tokens} tokens"
    )
    table.add_row("attention layers", _sides(fit.sites))
    table.add_row("guided by", _sides(fit.guidance_sites))
    table.add_row("methods", ", ".join(fit.methods))
    table.add_row("inversions", ", ".join(fit.inversions))
    for name, reason in fit.unsuited.items():
        table.add_row(f"not {name}", reason)
    for name, number in fit.parameters.items():
        table.add_row(name, f"{number / 1e6:,.0f} M parameters, {memory.weights[name] / GIB:.2f} GiB")
    table.add_row("a guided step", f"{memory.guidance / GIB:.2f} GiB besides")
    table.add_row("decoding", f"{memory.decoding / GIB:.2f} GiB besides")
    table.add_row(
        f"in total, in {dtype}", f"{memory.whole / GIB:.1f} GiB; with MAGEDIT_LOW_MEMORY {memory.low / GIB:.1f} GiB"
    )
    console.print(table)


def _sides(sites: Iterable[AttentionSite]) -> str:
    """`20 cross at 32x32, ...`, largest maps first."""
    counted = Counter((site.side, site.kind) for site in sites)
    return ", ".join(
        f"{number} {kind} at {side}x{side}" for (side, kind), number in sorted(counted.items(), reverse=True)
    )
