"""`magedit mask`: a mask by words, points or a box, in this process or, with `--server`, by a service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.console import make_console
from cli.edit import HERE, THERE
from cli.edits import API_KEY
from cli.errors import explained, read_settings
from magedit.client import Client, MaskCandidate
from magedit.masks.shapes import read_prompt

WAIT_S = 20
"""How long one request waits for a mask, in seconds."""


def mask(
    image: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The picture: PNG, JPEG, WebP.")],
    *,
    out: Annotated[Path, typer.Option(dir_okay=False, help="Output file: PNG, white inside the mask.")],
    words: Annotated[
        str | None, typer.Option(help="The thing in words: `left sofa`, `second pillow`, `largest picture`.")
    ] = None,
    point: Annotated[
        list[str] | None,
        typer.Option(metavar="X,Y[,0]", help="A pixel of the thing, or with `,0` one outside it; repeatable."),
    ] = None,
    box: Annotated[str | None, typer.Option(metavar="X,Y,W,H", help="A box around the thing, in pixels.")] = None,
    grow: Annotated[int, typer.Option(min=0, help="Grow the mask by this many pixels.")] = 0,
    shrink: Annotated[int, typer.Option(min=0, help="Shrink the mask by this many pixels, after growing.")] = 0,
    fill_holes: Annotated[bool, typer.Option("--fill-holes", help="Fill its holes.")] = False,
    invert: Annotated[bool, typer.Option("--invert", help="Select everything else.")] = False,
    candidate: Annotated[int, typer.Option(min=0, max=2, help="Index of the candidate to save; 0 is the best.")] = 0,
    checkpoint: Annotated[
        str | None,
        typer.Option(help="Edit model whose attention locates words. Default: demo.", rich_help_panel=HERE),
    ] = None,
    segmenter: Annotated[
        str | None,
        typer.Option(
            help="Folder or hub id of a model in SAM's layout, for points and boxes. Default: the demo's.",
            rich_help_panel=HERE,
        ),
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="Folder or hub id of a detector, for words.", rich_help_panel=HERE)
    ] = None,
    server: Annotated[str | None, typer.Option(help="Use the service at this address.", rich_help_panel=THERE)] = None,
    key: Annotated[
        str | None,
        typer.Option(envvar=API_KEY, help="API key, if the service requires one.", rich_help_panel=THERE),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Which model. Default: the service's own.", rich_help_panel=THERE)
    ] = None,
) -> None:
    """Find a mask in a picture by words, points or a box, and save it."""
    here = {"--checkpoint": checkpoint, "--segmenter": segmenter, "--detector": detector}
    for name, value in (here if server is not None else {"--model": model}).items():
        if value is not None:
            raise typer.BadParameter(f"{name} goes {'not' if server is not None else 'only'} with --server")
    asked: dict[str, Any] = {
        "words": words,
        "points": [_point(each) for each in point or ()],
        "box": _numbers(box, "--box", (4,)) if box is not None else None,
        "grow": grow,
        "shrink": shrink,
        "fill_holes": fill_holes,
        "invert": invert,
    }
    console = make_console()
    with explained(console):
        out.parent.mkdir(parents=True, exist_ok=True)
        if server is None:
            prompt = read_prompt(asked)
            settings = read_settings(**{name.lstrip("-"): value for name, value in here.items() if value is not None})
            # torch is imported only here.
            from cli.local_edit import silence

            silence()
            from cli.local_mask import find

            found = find(image, prompt, settings, console)
            _require(candidate, len(found.masks))
            found.masks[candidate].picture.save(out, "PNG")
            described = [each.candidate.model_dump() for each in found.masks]
            _tell([MaskCandidate.model_validate(each) for each in described], found.found_by, out, console)
            return
        with Client(server, key=key) as client:
            done = client.find_mask(image, wait_s=WAIT_S, model=model, **asked)
            _require(candidate, len(done.candidates))
            out.write_bytes(client.fetch(done.candidates[candidate].href))
            _tell(done.candidates, done.found_by or "", out, console)


def _tell(candidates: Any, found_by: str, out: Path, console: Console) -> None:
    for number, each in enumerate(candidates):
        x, y, width, height = each.box
        console.print(
            f"{number}: score {each.score:.2f}, {each.area} pixels in {width}x{height} at ({x}, {y}), by {found_by}"
        )
    console.print(f"saved {out}")


def _require(candidate: int, candidates: int) -> None:
    if candidate >= candidates:
        raise typer.BadParameter(f"--candidate {candidate}: there are {candidates}, counted from 0")


def _point(text: str) -> list[float]:
    numbers = _numbers(text, "--point", (2, 3))
    return numbers if len(numbers) == 3 else [*numbers, 1]


def _numbers(text: str, name: str, lengths: tuple[int, ...]) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in lengths:
        raise typer.BadParameter(f"{name} {text!r}: give {' or '.join(map(str, lengths))} numbers separated by commas")
    return [int(number) if number.is_integer() else number for number in numbers]
