"""Renderer of docs/gallery.png, one row per kind of edit (`make gallery`).

The edits are fixed, not selected by result: the named edits, and the first plain edit of each kind in the benchmark's
set.
"""

import argparse
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont
from rich.progress import track

from magedit.config import PRESETS, EditConfig, PresetName, Region
from magedit.demo import checkpoint_path, demo_edit, sample_edits
from magedit.demo.draw import draw_mask
from magedit.demo.edits import DemoEdit, EditKind, in_room
from magedit.demo.evaluate import load_pipeline
from magedit.images.masks import outline, union
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.prompts.kinds import config_for

PANEL: Final = 160
"""Side of a picture in the sheet, in pixels."""
GAP: Final = 8
TITLE: Final = 22
CAPTION: Final = 18
COLUMNS: Final = 5

Panel = tuple[str, Image.Image]
Row = tuple[str, list[Panel]]


def _first(kind: EditKind) -> DemoEdit:
    edit = next(sample_edits(kind, 1))
    return in_room(edit) if kind == "removal" else edit


class Painter:
    """Edits with one pipeline and preset."""

    def __init__(self, pipe: MAGEditPipeline, preset: PresetName) -> None:
        self._pipe, self._preset = pipe, preset

    def compare(self, title: str, edit: DemoEdit, **given: Any) -> Row:
        """Source and mask, Prompt-to-Prompt alone, and each result with guidance."""
        size = self._pipe.size
        image, mask = edit.image(size), edit.mask(size)
        return title, self._panels(
            image, [mask], edit.source_prompt, edit.target_prompt, [Region(words=edit.words)], **given
        )

    def chain(self, title: str, edit: DemoEdit, more: Sequence[tuple[str, str, str]]) -> Row:
        """Successive edits, each of the previous result: class, phrase before, phrase after."""
        size = self._pipe.size
        image, mask, prompts = edit.image(size), edit.mask(size), (edit.source_prompt, edit.target_prompt)
        words = edit.words
        panels = [("source and mask", outline(image, mask))]
        for kind, before, after in (("", "", ""), *more):
            if kind:
                mask = draw_mask(edit.source, edit.source.find(kind), size=size)
                prompts, words = (prompts[1], prompts[1].replace(before, after)), (after.removeprefix("a "),)
            config = config_for(*prompts, preset=self._preset)
            (image,) = self._pipe(image, [mask], *prompts, [Region(words=words)], config).images
            panels.append((words[0], image))
        return title, panels

    def regions(self, title: str, edit: DemoEdit, kind: str, before: str, after: str) -> Row:
        """The edit together with an edit of another object, in one run."""
        size = self._pipe.size
        masks = [edit.mask(size), draw_mask(edit.source, edit.source.find(kind), size=size)]
        words = [edit.words, (after.removeprefix("a "),)]
        target = edit.target_prompt.replace(before, after)
        regions = [Region(words=each) for each in words]
        return title, self._panels(edit.image(size), masks, edit.source_prompt, target, regions)

    def _panels(
        self,
        image: Image.Image,
        masks: list[Image.Image],
        source: str,
        target: str,
        regions: list[Region],
        **given: Any,
    ) -> list[Panel]:
        config = config_for(source, target, preset=self._preset, has_words=True, **given)
        output = self._pipe(image, masks, source, target, regions, config)
        plain = EditConfig.preset(self._preset, method="p2p", steps=config.steps)
        without = self._pipe(image, masks, source, target, regions, plain, inversion=output.inversion)
        names = ["with guidance"]
        if config.results > 1:
            own = output.measures.results
            names = [f"strength {each.strength:g}" if config.sweep else f"seed {each.seed}" for each in own]
        return [
            ("source and mask", outline(image, union(masks))),
            ("prompts alone (P2P)", without.images[0]),
            *zip(names, output.images, strict=True),
        ]


def rows(pipe: MAGEditPipeline, preset: PresetName, chosen: Collection[int] = ()) -> list[Row]:
    """The rows of the gallery: all, or those with the numbers ``chosen``, counted from 1."""
    painter, picture, pillow = Painter(pipe, preset), demo_edit("picture"), demo_edit("pillow")
    makers: list[Callable[[], Row]] = [
        lambda: painter.compare("Colour: the carpet, not the picture or the lamp of its colour", demo_edit("carpet")),
        lambda: painter.compare("One of two: the prompt cannot say which picture", picture),
        lambda: painter.compare("Part: the shade of a lamp", demo_edit("lamp")),
        lambda: painter.compare(_titled("Pattern", _first("pattern")), _first("pattern")),
        lambda: painter.compare(_titled("Replacement", _first("replacement")), _first("replacement"), n=3),
        lambda: painter.compare(_titled("Addition", _first("addition")), _first("addition"), n=3),
        lambda: painter.compare(f"Removal: {_first('removal').words[0]} fills the place", _first("removal")),
        lambda: painter.compare("Sweep: three strengths of one edit", picture, sweep=(0.25, 0.5, 1.0)),
        lambda: painter.regions(
            "Two regions in one edit: red pillow, yellow ball", pillow, "ball", "a white ball", "a yellow ball"
        ),
        lambda: painter.chain(
            "Step by step: each edit begins with the result before it",
            pillow,
            [("lamp", "a red lamp", "a blue lamp"), ("ball", "a white ball", "a yellow ball")],
        ),
    ]
    made = [make for number, make in enumerate(makers, 1) if not chosen or number in chosen]
    return [make() for make in track(made, "gallery")]


def sheet(made: Sequence[Row]) -> Image.Image:
    """Rows of captioned pictures, `PANEL` pixels each, on white."""
    height = TITLE + PANEL + CAPTION + GAP
    picture = Image.new("RGB", (COLUMNS * (PANEL + GAP) + GAP, len(made) * height + GAP), "white")
    draw, title_font, font = ImageDraw.Draw(picture), ImageFont.load_default(14), ImageFont.load_default(12)
    for number, (title, panels) in enumerate(made):
        top = number * height + GAP
        draw.text((GAP, top), title, fill="#111111", font=title_font, stroke_width=0.4)
        for column, (caption, panel) in enumerate(panels):
            x = GAP + column * (PANEL + GAP)
            picture.paste(panel.convert("RGB").resize((PANEL, PANEL), Image.Resampling.LANCZOS), (x, top + TITLE))
            draw.text((x, top + TITLE + PANEL + 1), caption, fill="#444444", font=font)
    return picture


def _titled(kind: str, edit: DemoEdit) -> str:
    return f"{kind}: {edit.words[0]}"


def main() -> None:
    """Render the gallery."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=checkpoint_path())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--preset", choices=list(PRESETS), default="fast")
    parser.add_argument("--rows", type=int, nargs="*", default=(), help="these alone, counted from 1")
    parser.add_argument("--out", type=Path, default=Path("docs/gallery.png"))
    asked = parser.parse_args()
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    sheet(rows(load_pipeline(asked.checkpoint, asked.device), asked.preset, asked.rows)).save(asked.out, optimize=True)


if __name__ == "__main__":
    main()
