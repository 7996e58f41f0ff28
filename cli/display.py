"""Terminal output of an edit: a progress bar while it runs, tables when it is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO

from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.preview import shower
from magedit.client import Client, Edit, Ratios, ResultMeasures


def follow(client: Client, edit_id: str, console: Console, preview: str | None = None) -> Edit:
    """Show stage, step, queue position and estimate until the edit finishes, and previews at ``preview``
    (`cli.preview.shower`). Ctrl-C cancels the edit."""
    with progress_bar(console) as bar:
        task = bar.add_task("submitted", total=1.0)
        show = shower(preview, console, bar) if preview else None
        shown: tuple[int, int, int] | None = None

        def changed(edit: Edit) -> None:
            nonlocal shown
            bar.update(task, description=describe(edit), completed=completed(edit))
            if show is None or edit.state != "running" or (seen := client.preview(edit_id)) is None:
                return
            if (now := (edit.attempt, seen.result, seen.step)) != shown:
                shown = now
                show(Image.open(BytesIO(seen.image)))

        try:
            return client.wait(edit_id, changed)
        except KeyboardInterrupt:
            bar.update(task, description="canceling")
            client.cancel(edit_id)
            raise


def progress_bar(console: Console) -> Progress:
    """A progress bar with description, share and time; tasks have total 1."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def completed(edit: Edit) -> float:
    """The finished share of the edit, 0..1."""
    if edit.state == "succeeded":
        return 1.0
    return edit.progress.fraction if edit.progress else 0.0


def describe(edit: Edit) -> str:
    """One line: the edit's current activity."""
    if edit.finished:
        return edit.state
    parts: list[str] = [edit.state]
    if edit.state == "queued" and edit.queue_position is not None:
        parts.append(f"{edit.queue_position} ahead of it")
    if edit.waiting_for == "worker":
        parts.append("no worker yet")
    if edit.progress:
        parts = [f"{edit.progress.stage} {edit.progress.step}/{edit.progress.steps}"]
    if edit.eta_s is not None:
        parts.append(f"about {edit.eta_s:.0f} s left")
    return ", ".join(parts)


def print_finished(edit: Edit, console: Console) -> None:
    """Print warnings, ratios and cost, if available."""
    for each in edit.warnings:
        console.print(f"note: {each.message}", markup=False)
    if edit.measures is not None:
        for found in edit.measures.found:
            x, y, width, height = found.box
            console.print(
                f"mask {found.region} ({found.label or 'points'}): {found.area} pixels in {width}x{height} at ({x}, "
                f"{y}), score {found.score:.2f}, by {found.found_by}",
                markup=False,
            )
        table = measures_table(edit)
        # An edit without words (by instruction, or unguided without an addition) has no ratios.
        if table.row_count:
            console.print(table)
        console.print(cost(edit))
        if (known := edit.measures.reconstruction) is not None:
            through = f"{known.vae:.1f} dB through the VAE, {known.inversion:.1f} dB through the inversion"
            console.print(f"reconstruction of the unedited picture inside the mask: {through}")


def measures_table(edit: Edit) -> Table:
    """Ratios without and with guidance; if no unguided edit was run, before and after each step's updates.

    A result without ratios has no rows. The edit must have succeeded.
    """
    measures = edit.measures
    assert measures is not None
    table = Table(show_header=True, header_style="bold")
    several = len(measures.results) > 1
    before = measures.unguided or measures.before
    has_unguided = measures.unguided and not several
    compared = ("without guidance", "with guidance") if has_unguided else ("before updates", "after updates")
    for column in ("region", "ratio", *compared):
        table.add_column(column)
    if several:
        table.add_column("result")
        is_compared = len({each.method for each in measures.results}) > 1
        for number, each in enumerate(measures.results):
            named = f"{number}: {_named(each, is_compared)}"
            for words, first, last in _regions(measures.words, each.before, each.after):
                for name in ("token", "spatial"):
                    table.add_row(", ".join(words), name, _ratio(first, name), _ratio(last, name), named)
        return table
    for words, unguided, guided in _regions(measures.words, before, measures.after):
        for name in ("token", "spatial"):
            table.add_row(", ".join(words), name, _ratio(unguided, name), _ratio(guided, name))
    return table


def cost(edit: Edit) -> str:
    """One line: the edit's cost."""
    measures = edit.measures
    assert measures is not None
    stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in measures.stage_seconds.items())
    return (
        f"{edit.timings.running_s or 0.0:.1f} s ({stages}); UNet: {measures.unet_forward} forward, "
        f"{measures.unet_truncated_forward} truncated, {measures.unet_backward} backward"
    )


def _named(result: ResultMeasures, is_compared: bool) -> str:
    """The parameters that reproduce this result: seed and strength, and its method in a comparison."""
    method = f"{result.method}, " if is_compared and result.method else ""
    return f"{method}seed {result.seed}, strength {result.strength:g}"


def _regions(
    words: Sequence[tuple[str, ...]], before: Sequence[Ratios], after: Sequence[Ratios]
) -> Iterator[tuple[tuple[str, ...], Ratios, Ratios]]:
    """Words and ratios of each region that has words; empty if no ratios were measured."""
    if before and after:
        yield from (each for each in zip(words, before, after, strict=True) if each[0])


def _ratio(ratios: Ratios, name: str) -> str:
    return f"{getattr(ratios, name):.3f}"
