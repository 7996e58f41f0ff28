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
    out: Annotated[Path, typer.Option(dir_okay=False, help="Where to save the mask: PNG, white where it is.")],
    words: Annotated[
        str | None, typer.Option(help="What is meant: `left sofa`, `second pillow`, `largest picture`.")
    ] = None,
    point: Annotated[
        list[str] | None,
        typer.Option(metavar="X,Y[,0]", help="A pixel of what is meant; with `,0` one that is not of it; repeatable."),
    ] = None,
    box: Annotated[str | None, typer.Option(metavar="X,Y,W,H", help="A box around what is meant, in pixels.")] = None,
    grow: Annotated[int, typer.Option(min=0, help="Grow the mask by so many pixels.")] = 0,
    shrink: Annotated[int, typer.Option(min=0, help="Shrink it by so many, after.")] = 0,
    fill_holes: Annotated[bool, typer.Option("--fill-holes", help="Fill its holes.")] = False,
    invert: Annotated[bool, typer.Option("--invert", help="Select everything else.")] = False,
    candidate: Annotated[int, typer.Option(min=0, max=2, help="Which candidate to save, from the best one.")] = 0,
    checkpoint: Annotated[
        str | None,
        typer.Option(help="The edit model whose attention finds words. Default: demo.", rich_help_panel=HERE),
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
    server: Annotated[
        str | None, typer.Option(help="Let the service at this address find it.", rich_help_panel=THERE)
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(envvar=API_KEY, help="API key, where the service asks for one.", rich_help_panel=THERE),
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
            # torch and everything that rests on it load here.
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
        raise typer.BadParameter(f"{name} {text!r}: give {' or '.join(map(str, lengths))} numbers with commas between")
    return [int(number) if number.is_integer() else number for number in numbers]
