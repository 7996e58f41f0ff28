"""Edits whose true result is known: a room, what is to change, the prompts that say so, the room after it."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from PIL import Image, ImageChops

from magedit.demo.captions import Caption, Mention, Style, article, caption_scene
from magedit.demo.draw import draw_mask, draw_scene, pieces
from magedit.demo.palette import COLOURS, PATTERNED, PATTERNS
from magedit.demo.scene import UNITS, Scene, Thing, clashes, sample_scene

EDIT_KINDS: Final = ("colour", "pattern", "part", "replacement", "addition", "removal", "ambiguous")
SWAPS: Final = {
    "ball": "table",
    "table": "ball",
    "picture": "clock",
    "clock": "picture",
    "lamp": "plant",
    "plant": "lamp",
}
"""Classes that may take one another's place: they anchor at the same point."""
REMOVABLE: Final = ("ball", "table", "picture", "clock", "lamp", "plant")
FULL: Final = Style(
    side=0.0,
    colour=1.0,
    pattern=1.0,
    plain=0.0,
    synonym=0.0,
    part=0.0,
    form=0.0,
    room=0.0,
    omission=0.0,
    negation=0.0,
)
"""Captions of edits name everything with colour and pattern but no side: where to edit is the mask's to
say."""


@dataclass(frozen=True, kw_only=True)
class DemoEdit:
    """One edit with its truth. Pictures and masks are square, `size` pixels a side, drawn when asked for."""

    name: str
    kind: str
    """One of `EDIT_KINDS`."""
    source: Scene
    target: Scene
    source_prompt: str
    target_prompt: str
    words: tuple[str, ...]
    """Phrases of the target prompt that must win inside the mask; none for a removal."""

    def image(self, size: int = UNITS) -> Image.Image:
        """The picture to edit: RGB."""
        return draw_scene(self.source, size)

    def truth(self, size: int = UNITS) -> Image.Image:
        """The picture after a perfect edit: RGB, equal to `image` to the bit outside `mask`."""
        return draw_scene(self.target, size)

    def mask(self, size: int = UNITS) -> Image.Image:
        """Every pixel that the edit may change: "L", 255 inside, 0 outside."""
        mask = Image.new("L", (size, size))
        for scene, other in ((self.source, self.target), (self.target, self.source)):
            for thing in scene.things:
                if thing not in other.things:
                    for part in _changed_parts(thing, other):
                        mask = ImageChops.lighter(mask, draw_mask(scene, thing, part, size))
        return mask


def _changed_parts(thing: Thing, other: Scene) -> set[str]:
    """The parts of a thing that look different in another room: all, unless only its paint changes there."""
    shapes = pieces(thing)
    for twin in other.things:
        if (twin.kind, twin.x, twin.y, twin.form) == (thing.kind, thing.x, thing.y, thing.form):
            return {one.part for one, two in zip(shapes, pieces(twin), strict=True) if one != two}
    return {piece.part for piece in shapes}


def _text(words: list[str]) -> str:
    return " ".join(words).replace(" ,", ",")


def _colour_words(caption: Caption, mention: Mention, colour: str) -> list[str]:
    """The caption's words with another colour in one mention, and the article before it put right."""
    words = list(caption.words)
    at = words.index(str(mention.colour), mention.start)
    words[at] = colour
    if words[at - 1] in ("a", "an"):
        words[at - 1] = article(colour)
    return words


def _mention(caption: Caption, scene: Scene, thing: Thing) -> Mention:
    return next(mention for mention in caption.mentions if scene.things.index(thing) in mention.things)


def recolour(name: str, scene: Scene, caption: Caption, thing: Thing, colour: str, kind: str = "colour") -> DemoEdit:
    """Gives one thing of a room another colour."""
    mention = _mention(caption, scene, thing)
    words = _colour_words(caption, mention, colour)
    at = words.index(colour, mention.start)
    noun = mention.noun if mention.noun > at else at + 1  # "lamp", but the "pot" of "a plant in a red pot"
    return DemoEdit(
        name=name,
        kind=kind,
        source=scene,
        target=scene.change(thing, replace(thing, colour=colour)),
        source_prompt=caption.text,
        target_prompt=_text(words),
        words=(" ".join(words[at : noun + 1]),),
    )


def _repattern(name: str, scene: Scene, caption: Caption, thing: Thing, pattern: str) -> DemoEdit:
    mention = _mention(caption, scene, thing)
    words = list(caption.words)
    if mention.pattern:
        words[words.index(mention.pattern, mention.start)] = pattern
    else:
        at = words.index(str(mention.colour), mention.start)
        words[at:at] = [pattern]
        if words[at - 1] in ("a", "an"):
            words[at - 1] = article(pattern)
    return DemoEdit(
        name=name,
        kind="pattern",
        source=scene,
        target=scene.change(thing, replace(thing, pattern=pattern)),
        source_prompt=caption.text,
        target_prompt=_text(words),
        words=(f"{pattern} {thing.colour} {thing.kind}",),
    )


def _colours_for(scene: Scene, thing: Thing, rng: random.Random) -> str:
    others = [colour for colour in COLOURS if colour != thing.colour]
    return rng.choice([c for c in others if not clashes(scene.change(thing, replace(thing, colour=c)))])


def _caption(scene: Scene, rng: random.Random) -> Caption:
    return caption_scene(scene, rng, FULL)


def _colour(name: str, scene: Scene, rng: random.Random) -> DemoEdit | None:
    things = [
        thing for thing in scene.things if thing.kind in ("sofa", "carpet", "picture", "ball", "table", "curtain")
    ]
    if not things:
        return None
    thing = rng.choice(things)
    return recolour(name, scene, _caption(scene, rng), thing, _colours_for(scene, thing, rng))


def _part(name: str, scene: Scene, rng: random.Random) -> DemoEdit | None:
    things = [thing for thing in scene.things if thing.kind in ("lamp", "plant", "clock")]
    if not things:
        return None
    thing = rng.choice(things)
    return recolour(name, scene, _caption(scene, rng), thing, _colours_for(scene, thing, rng), "part")


def _pattern(name: str, scene: Scene, rng: random.Random) -> DemoEdit | None:
    things = [thing for thing in scene.things if thing.kind in PATTERNED and thing.pattern == "plain"]
    if not things or any(thing.kind == "pillow" for thing in scene.things):
        return None
    return _repattern(name, scene, _caption(scene, rng), rng.choice(things), rng.choice(PATTERNS[1:]))


def _swap(name: str, scene: Scene, rng: random.Random) -> DemoEdit | None:
    kinds = {thing.kind for thing in scene.things}
    things = [thing for thing in scene.things if thing.kind in SWAPS and SWAPS[thing.kind] not in kinds]
    if not things:
        return None
    thing = rng.choice(things)
    new = replace(thing, kind=SWAPS[thing.kind])
    if clashes(scene.change(thing, new)):
        return None
    caption = _caption(scene, rng)
    mention = _mention(caption, scene, thing)
    if new.kind == "plant":
        said = f"a plant in {article(str(new.colour))} {new.colour} pot"
        word = "plant"
    else:
        word = f"{new.colour} {new.kind}"
        said = f"{article(word)} {word}"
    words = [*caption.words[: mention.start], *said.split(), *caption.words[mention.end + 1 :]]
    return DemoEdit(
        name=name,
        kind="replacement",
        source=scene,
        target=scene.change(thing, new),
        source_prompt=caption.text,
        target_prompt=_text(words),
        words=(word,),
    )


def _without(name: str, scene: Scene, rng: random.Random, kind: str) -> DemoEdit | None:
    """A removal, or read the other way round an addition: the prompts name the thing last, or not at all."""
    things = [thing for thing in scene.things if thing.kind in REMOVABLE]
    if not things or len(scene.things) < 3:
        return None
    thing = rng.choice(things)
    bare = scene.with_things(other for other in scene.things if other != thing)
    caption = _caption(bare, rng)
    alone = _caption(scene.with_things([thing]), random.Random(0))
    said = alone.words[alone.mentions[0].start : alone.mentions[0].end + 1]
    short, long = caption.text, _text([*caption.words, ",", *said])
    if kind == "removal":
        return DemoEdit(
            name=name, kind=kind, source=scene, target=bare, source_prompt=long, target_prompt=short, words=()
        )
    word = "plant" if thing.kind == "plant" else f"{thing.colour} {thing.kind}"
    return DemoEdit(
        name=name,
        kind=kind,
        source=bare,
        target=scene,
        source_prompt=short,
        target_prompt=long,
        words=(word,),
    )


def _ambiguous(name: str, scene: Scene, rng: random.Random) -> DemoEdit | None:
    """Two like pillows, one to recolour: the prompt cannot say which."""
    pillows = [thing for thing in scene.things if thing.kind == "pillow"]
    if len(pillows) != 2:
        return None
    colour = str(pillows[0].colour)
    scene = scene.with_things(
        replace(thing, colour=colour, pattern="plain") if thing.kind == "pillow" else thing for thing in scene.things
    )
    if clashes(scene):
        return None
    caption = caption_scene(scene, rng, replace(FULL, pair=0.0))
    first, second = (thing for thing in scene.things if thing.kind == "pillow")
    new = _colours_for(scene, first, rng)
    edit = recolour(name, scene, caption, rng.choice((first, second)), new, "ambiguous")
    chosen = rng.choice((first, second))  # which mention changes says nothing of which pillow does
    return replace(edit, target=scene.change(chosen, replace(chosen, colour=new)))


_MAKERS: Final[dict[str, Callable[[str, Scene, random.Random], DemoEdit | None]]] = {
    "colour": _colour,
    "pattern": _pattern,
    "part": _part,
    "replacement": _swap,
    "addition": lambda name, scene, rng: _without(name, scene, rng, "addition"),
    "removal": lambda name, scene, rng: _without(name, scene, rng, "removal"),
    "ambiguous": _ambiguous,
}


def sample_edits(kind: str, number: int, seed: int = 0) -> Iterator[DemoEdit]:
    """The first `number` edits of a kind, always the same for a seed; rooms outside the training set.

    Raises:
        ValueError: the kind is not one of `EDIT_KINDS`.
    """
    if kind not in _MAKERS:
        raise ValueError(f"edit kind {kind!r} is unknown: use one of {', '.join(EDIT_KINDS)}")
    rng = random.Random(f"{seed}/edits/{kind}")
    made = 0
    while made < number:
        edit = _MAKERS[kind](f"{kind}-{made}", sample_scene(rng), rng)
        if edit is not None and edit.mask().getbbox() is not None:
            made += 1
            yield edit


def _room(wall: str, floor: str, *things: Thing) -> Scene:
    return Scene(wall=wall, floor=floor, things=()).with_things(things)


def _carpet_demo() -> DemoEdit:
    scene = _room(
        "cream",
        "grey",
        Thing(kind="window", x=64, y=24),
        Thing(kind="picture", x=104, y=24, side="right", colour="red"),
        Thing(kind="carpet", x=64, y=112, colour="red", form="round"),
        Thing(kind="sofa", x=64, y=72, colour="blue"),
        Thing(kind="lamp", x=14, y=104, side="left", colour="red"),
        Thing(kind="plant", x=114, y=104, side="right", colour="white"),
    )
    source = "a room with a window, a red picture, a blue sofa, a red lamp, a plant in a white pot and a red carpet"
    return DemoEdit(
        name="carpet",
        kind="colour",
        source=scene,
        target=scene.change(scene.find("carpet"), replace(scene.find("carpet"), colour="yellow")),
        source_prompt=source,
        target_prompt=source.replace("red carpet", "yellow carpet"),
        words=("yellow carpet",),
    )


def _pillow_demo() -> DemoEdit:
    """Two like pillows: only the mask says which one the prompt means."""
    scene = _room(
        "mint",
        "wooden",
        Thing(kind="window", x=60, y=24),
        Thing(kind="curtain", x=60, y=24, colour="yellow"),
        Thing(kind="clock", x=20, y=28, side="left", colour="purple"),
        Thing(kind="carpet", x=64, y=112, colour="green", pattern="striped", form="round"),
        Thing(kind="sofa", x=68, y=68, colour="green", pattern="striped"),
        Thing(kind="pillow", x=52, y=68, side="left", colour="pink"),
        Thing(kind="pillow", x=84, y=68, side="right", colour="pink"),
        Thing(kind="lamp", x=14, y=108, side="left", colour="red"),
        Thing(kind="ball", x=44, y=120, side="left", colour="white"),
    )
    before = "a room with a window, a yellow curtain, a purple clock, a striped green carpet, a striped green sofa"
    right = scene.find("pillow", "right")
    return DemoEdit(
        name="pillow",
        kind="ambiguous",
        source=scene,
        target=scene.change(right, replace(right, colour="red")),
        source_prompt=f"{before}, a pink pillow, a pink pillow, a red lamp and a white ball",
        target_prompt=f"{before}, a pink pillow, a red pillow, a red lamp and a white ball",
        words=("red pillow",),
    )


def _lamp_demo() -> DemoEdit:
    scene = _room(
        "lavender",
        "brown",
        Thing(kind="window", x=104, y=24, side="right"),
        Thing(kind="curtain", x=104, y=24, side="right", colour="orange"),
        Thing(kind="picture", x=64, y=24, colour="white"),
        Thing(kind="sofa", x=64, y=72, colour="green"),
        Thing(kind="lamp", x=14, y=104, side="left", colour="orange"),
        Thing(kind="carpet", x=64, y=112, colour="white", form="round"),
    )
    source = "a room with a window, an orange curtain, a white picture, a green sofa, a white carpet and an orange lamp"
    return DemoEdit(
        name="lamp",
        kind="part",
        source=scene,
        target=scene.change(scene.find("lamp"), replace(scene.find("lamp"), colour="purple")),
        source_prompt=source,
        target_prompt=source.replace("an orange lamp", "a purple lamp"),
        words=("purple lamp",),
    )


DEMO_EDITS: Final[dict[str, Callable[[], DemoEdit]]] = {
    "carpet": _carpet_demo,
    "pillow": _pillow_demo,
    "lamp": _lamp_demo,
}
"""The edits that documentation and tests speak of, by name."""


def demo_edit(name: str = "pillow") -> DemoEdit:
    """One of the fixed edits.

    Raises:
        ValueError: no edit has this name.
    """
    if name not in DEMO_EDITS:
        raise ValueError(f"demo edit {name!r} is unknown: use one of {', '.join(DEMO_EDITS)}")
    return DEMO_EDITS[name]()
