"""The demo: one edit through the whole service, with pictures and figures."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console

from cli.display import cost, follow, measures_table
from magedit.client import Client, Edit
from magedit.demo import DemoEdit, demo_edit
from magedit.images.masks import outside_difference


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Output of the demo: the edit's record, its pictures, and the largest difference outside the dilated mask."""

    edit: Edit
    files: tuple[Path, ...]
    outside: int


def run_demo(server: str, name: str, folder: Path, console: Console, **config: Any) -> Outcome:
    """Run the demo edit ``name`` over HTTP with the parameters of ``config``; save its pictures in ``folder``.

    Raises:
        ServiceError: the service refused it, or it failed.
    """
    asked = demo_edit(name)
    console.print(f"{asked.source_prompt}\n-> {asked.target_prompt}", style="bold")
    with Client(server) as client:
        (model,) = client.models()
        source, mask = asked.image(model.image_size), asked.mask(model.image_size)
        edit = _submit(client, asked, source, mask, config)
        edit = follow(client, edit.id, console)
        # Raises for a failed edit, with its problem.
        result = client.result(edit.id)
        pictures = {each.name: client.artifact(edit.id, each.name) for each in edit.artifacts}
    pictures |= {"source.png": _png(source), "mask.png": _png(mask), "result.png": result}
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for file, content in pictures.items():
        (folder / file).write_bytes(content)
        files.append(folder / file)
    assert edit.measures is not None
    after = Image.open(io.BytesIO(result)).convert("RGB")
    outside = outside_difference(source, after, mask, edit.measures.paste_margin_px)
    return Outcome(edit=edit, files=tuple(files), outside=outside)


def report(outcome: Outcome, console: Console) -> None:
    """Print ratios, cost, the check outside the mask, and where the pictures are."""
    measures = outcome.edit.measures
    assert measures is not None
    console.print(measures_table(outcome.edit))
    console.print(cost(outcome.edit))
    console.print(
        f"largest difference of a pixel outside the mask (dilated by {measures.paste_margin_px} px): {outcome.outside}"
    )
    for file in sorted(outcome.files):
        console.print(f"  {file}")


def _submit(client: Client, asked: DemoEdit, source: Image.Image, mask: Image.Image, config: Mapping[str, Any]) -> Edit:
    return client.submit(
        _png(source),
        [_png(mask)],
        source_prompt=asked.source_prompt,
        target_prompt=asked.target_prompt,
        words=asked.words,
        artifacts=["attention"],
        **config,
    )


def _png(image: Image.Image) -> bytes:
    target = io.BytesIO()
    image.save(target, "PNG")
    return target.getvalue()
