"""`magedit edit`: one edit, in this process or, with `--server`, by a service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console

from cli.console import make_console
from cli.display import follow, print_finished
from cli.edits import API_KEY
from cli.errors import explained, read_settings
from cli.options import json_array, with_config_options
from cli.preview import SIXEL, format_of
from jobs.schema import ArtifactName, EditPriority, OutputFormat
from magedit.client import Client, Edit, File
from magedit.config import MaskMode

FORMATS: dict[str, OutputFormat] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
"""Format of the result by the output file's suffix."""

HERE, THERE = "Without a server", "With --server"

Fetch = Callable[[str], bytes]


@with_config_options
def edit(
    image: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="The picture to edit: PNG, JPEG, WebP. With --source-edit, the first mask.",
        ),
    ],
    masks: Annotated[
        list[Path] | None,
        typer.Argument(exists=True, dir_okay=False, help="Masks, white where to edit: one picture per region."),
    ] = None,
    *,
    source_prompt: Annotated[
        str | None,
        typer.Option("--from", help="What the picture shows. Default with --source-edit: its target prompt."),
    ] = None,
    target_prompt: Annotated[str | None, typer.Option("--to", help="What the picture shows after the edit.")] = None,
    instruction: Annotated[
        str | None,
        typer.Option(help="Instruction in place of prompts and mask: `make the left sofa blue`."),
    ] = None,
    out: Annotated[Path, typer.Option(dir_okay=False, help="Output file; its suffix selects the format.")],
    words: Annotated[
        list[str] | None,
        typer.Option(help="Word of the target prompt for the mask; repeatable. Default: the new words."),
    ] = None,
    regions: Annotated[
        Any,
        typer.Option(
            hidden=True, metavar="JSON", parser=json_array, help="Several masks: one object of words per mask."
        ),
    ] = None,
    mask_shapes: Annotated[
        Any,
        typer.Option(
            hidden=True,
            metavar="JSON",
            parser=json_array,
            help="Masks without pictures: one object per region, with `polygon`, `box`, `rle`, `points`, `words` "
            "or `upload`.",
        ),
    ] = None,
    mask_mode: Annotated[MaskMode | None, typer.Option(hidden=True, help="Part of the mask to edit.")] = None,
    output_format: Annotated[
        OutputFormat | None, typer.Option(hidden=True, help="Output format, overriding the suffix.")
    ] = None,
    output_compression: Annotated[
        int | None,
        typer.Option(hidden=True, min=0, max=100, help="Quality of a JPEG, or of a lossy WebP (below 100)."),
    ] = None,
    artifacts: Annotated[
        list[str] | None,
        typer.Option(
            hidden=True,
            metavar="|".join(get_args(ArtifactName)),
            help="Artifacts to save next to the result; repeatable.",
        ),
    ] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            hidden=True, metavar="METHOD", help="Several methods in place of --method, one result each; repeatable."
        ),
    ] = None,
    stop_if_hopeless: Annotated[
        bool | None,
        typer.Option(
            "--stop-if-hopeless", hidden=True, help="End the edit as soon as its guided steps show that it would fail."
        ),
    ] = None,
    preview: Annotated[
        str | None,
        typer.Option(
            hidden=True,
            metavar="FILE|sixel",
            help="Show previews of the running edit about once a second: in this file, or with `sixel` in a terminal "
            "that supports it.",
        ),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(help="Folder or hub id of a Stable Diffusion checkpoint. Default: demo.", rich_help_panel=HERE),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(hidden=True, help="`cpu`, `cuda`, `cuda:1`. Default: CUDA if available.", rich_help_panel=HERE),
    ] = None,
    server: Annotated[str | None, typer.Option(help="Use the service at this address.", rich_help_panel=THERE)] = None,
    key: Annotated[
        str | None,
        typer.Option(hidden=True, envvar=API_KEY, help="API key, if the service requires one.", rich_help_panel=THERE),
    ] = None,
    model: Annotated[
        str | None, typer.Option(hidden=True, help="Which model. Default: the service's own.", rich_help_panel=THERE)
    ] = None,
    priority: Annotated[
        EditPriority | None, typer.Option(hidden=True, help="`low`: run after all normal edits.", rich_help_panel=THERE)
    ] = None,
    deadline_s: Annotated[
        float | None,
        typer.Option(
            hidden=True, min=1, help="Seconds within which the edit must start, or fail.", rich_help_panel=THERE
        ),
    ] = None,
    source_edit: Annotated[
        str | None,
        typer.Option(
            hidden=True,
            metavar="ID",
            help="Continue from this edit's result, in place of IMAGE.",
            rich_help_panel=THERE,
        ),
    ] = None,
    source_result: Annotated[
        int | None, typer.Option(hidden=True, min=0, help="Index of its result. Default: 0.", rich_help_panel=THERE)
    ] = None,
    **config: Any,
) -> None:
    """Edit a picture inside a mask and save the result; `--help-all` lists every parameter.

    The edit runs in this process, or with `--server` on a service. Ctrl-C ends it.
    """
    _only("--server", server, {"--checkpoint": checkpoint, "--device": device}, given=False)
    there: dict[str, Any] = {
        "model": model,
        "priority": priority,
        "deadline_s": deadline_s,
        "source_edit": source_edit,
        "source_result": source_result,
    }
    options = {f"--{name.replace('_', '-')}": value for name, value in there.items()}
    _only("--server", server, options, given=True)
    _check_preview(preview)
    pictures = [image, *(masks or ())]
    picture = None if source_edit is not None else pictures.pop(0)
    if target_prompt is None and instruction is None:
        raise typer.BadParameter("nothing to do: give --to or --instruction")
    if not pictures and mask_shapes is None and instruction is None:
        raise typer.BadParameter(
            "no mask is given: add one picture per region after the picture to edit, or give --mask-shapes or "
            "--instruction"
        )
    request: dict[str, Any] = {
        "source_prompt": source_prompt,
        "target_prompt": target_prompt,
        "instruction": instruction,
        "words": words or (),
        "artifacts": artifacts or (),
        "compare": compare or (),
        "regions": regions,
        "mask_mode": mask_mode,
        "mask_shapes": mask_shapes,
        "output_format": output_format or _format_of(out),
        "output_compression": output_compression,
        "stop_if_hopeless": stop_if_hopeless,
        **config,
    }
    console = make_console()
    with explained(console):
        # Before the edit: a folder that cannot be created would lose the result.
        out.parent.mkdir(parents=True, exist_ok=True)
        if server is None:
            # torch is imported only here, for local edits.
            from cli.local_edit import LocalEditor, require_known_words

            given = {"checkpoint": checkpoint, "device": device}
            settings = read_settings(**{name: value for name, value in given.items() if value is not None})
            require_known_words(settings, request)
            editor = LocalEditor(settings, console)
            assert picture is not None  # --source-edit goes only with --server
            done = editor.edit(
                picture.read_bytes(), [mask.read_bytes() for mask in pictures], preview=preview, **request
            )
            _save(done, out, editor.fetch, console)
            return
        with Client(server, key=key) as client:
            submitted = client.submit(picture, pictures, **request, **there)
            console.print(f"edit {submitted.id}")
            done = follow(client, submitted.id, console, preview)
            if done.state != "succeeded":
                # Raises with its problem.
                client.result(done.id)
            _save(done, out, client.fetch, console)


def _save(done: Edit, out: Path, fetch: Fetch, console: Console) -> None:
    """Save results and artifacts and print the edit's summary."""
    files: list[tuple[Path, File]] = list(zip(_names(out, len(done.results)), done.results, strict=True))
    files += [(out.with_name(f"{out.stem}-{each.name}"), each) for each in done.artifacts]
    for path, each in files:
        path.write_bytes(fetch(each.href))
    print_finished(done, console)
    for path, _ in files:
        console.print(f"saved {path}")


def _names(out: Path, results: int) -> list[Path]:
    """``out`` for one result; out-0, out-1, ... for several."""
    if results == 1:
        return [out]
    return [out.with_name(f"{out.stem}-{number}{out.suffix}") for number in range(results)]


def _format_of(out: Path) -> OutputFormat:
    known = FORMATS.get(out.suffix.lower())
    if known is None:
        endings = ", ".join(FORMATS)
        raise typer.BadParameter(
            f"{out.name!r} must have one of the suffixes {endings}: change it, or give --output-format"
        )
    return known


def _check_preview(preview: str | None) -> None:
    if preview in {None, SIXEL}:
        return
    try:
        format_of(Path(str(preview)))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--preview") from error


def _only(switch: str, value: object, options: dict[str, object], *, given: bool) -> None:
    """Refuse ``options`` that require ``switch`` to be ``given`` (or absent) when it is not."""
    wrong: Sequence[str] = [name for name, each in options.items() if each is not None]
    if wrong and (value is not None) != given:
        raise typer.BadParameter(f"{wrong[0]} goes {'only' if given else 'not'} with {switch}")
