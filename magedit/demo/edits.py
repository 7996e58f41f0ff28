"""Edits with a known true result: source room, change, prompts and target room."""

import random
import re
from dataclasses import dataclass, replace
from typing import Final, Literal, Self, get_args

from PIL import Image, ImageChops

from magedit.demo.captions import Caption, Mention, Style, article, caption_scene
from magedit.demo.draw import HORIZON, draw_mask, draw_scene, pieces
from magedit.demo.scene import UNITS, Scene, Thing

EditKind = Literal["colour", "pattern", "part", "replacement", "addition", "removal"]
Complexity = Literal["plain", "complex"]
EDIT_KINDS: Final[tuple[EditKind, ...]] = get_args(EditKind)
_OPENING: Final = re.compile(r"^.*?\broom with ")
COMPLEXITIES: Final[tuple[Complexity, ...]] = get_args(Complexity)
"""Plain: the prompts alone say where to edit. Complex: they do not. A thing that can have one has a twin, which the
same words name; a sofa, carpet or curtain shares its colour with something else; and the prompts may leave out most of
the room."""
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
    pair=0.0,
)
"""Captions of edits name objects with colour and pattern but no side: the mask gives the place."""


@dataclass(frozen=True, kw_only=True)
class DemoEdit:
    """One edit with its true result. Pictures and masks are `size` x `size` pixels, drawn on demand."""

    name: str
    kind: EditKind
    complexity: Complexity = "plain"
    source: Scene
    target: Scene
    source_prompt: str
    target_prompt: str
    words: tuple[str, ...]
    """Phrases of the target prompt that must win inside the mask; empty for a removal."""

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

    @property
    def appearing(self) -> tuple[Thing, ...]:
        """Objects of the target that the source lacks or has in another form."""
        return tuple(thing for thing in self.target.things if thing not in self.source.things)

    @property
    def vanishing(self) -> tuple[Thing, ...]:
        """Objects of the source that the target lacks or has in another form."""
        return tuple(thing for thing in self.source.things if thing not in self.target.things)


def in_room(edit: DemoEdit) -> DemoEdit:
    """A removal whose prompts name wall and floor, guided by what covers most of the removed object's area afterwards.

    That is the wall, the floor or another object.

    Raises:
        ValueError: the edit is of another kind.
    """
    if edit.kind != "removal":
        raise ValueError(f"edit {edit.name} is not a removal")
    named = f"a {edit.source.wall} room with a {edit.source.floor} floor, "
    source, target = (named + _OPENING.sub("", prompt, count=1) for prompt in (edit.source_prompt, edit.target_prompt))
    said = [phrase for phrase in _behind(edit) if phrase in target]
    return replace(edit, source_prompt=source, target_prompt=target, words=(said[0],))


def _behind(edit: DemoEdit) -> list[str]:
    """Captions of what the mask shows after the edit, in descending order of area."""
    left, shares = edit.mask(), {}
    for thing in reversed(edit.target.things):
        there = ImageChops.darker(left, draw_mask(edit.target, thing))
        shares[named_in_full(thing)[1]] = there.histogram()[255]
        left = ImageChops.subtract(left, there)
    shares[f"{edit.source.wall} room"] = left.crop((0, 0, UNITS, HORIZON)).histogram()[255]
    shares[f"{edit.source.floor} floor"] = left.crop((0, HORIZON, UNITS, UNITS)).histogram()[255]
    return sorted(shares, key=lambda phrase: -shares[phrase])


def _changed_parts(thing: Thing, other: Scene) -> set[str]:
    """The parts of an object that look different in another room: all, unless only its paint changes."""
    shapes = pieces(thing)
    for twin in other.things:
        if (twin.kind, twin.x, twin.y, twin.form) == (thing.kind, thing.x, thing.y, thing.form):
            return {one.part for one, two in zip(shapes, pieces(twin), strict=True) if one != two}
    return {piece.part for piece in shapes}


@dataclass(frozen=True, kw_only=True)
class Told:
    """A room and a caption of some of its objects, `told`."""

    scene: Scene
    told: Scene
    caption: Caption

    @classmethod
    def of(cls, scene: Scene, things: tuple[Thing, ...], rng: random.Random) -> Self:
        """A caption that names these objects of a room."""
        told = scene.with_things(things)
        return cls(scene=scene, told=told, caption=caption_scene(told, rng, FULL))

    def mention(self, thing: Thing) -> Mention:
        """The caption's mention of an object."""
        return next(mention for mention in self.caption.mentions if self.told.things.index(thing) in mention.things)


def _text(words: list[str]) -> str:
    return " ".join(words).replace(" ,", ",")


def named_in_full(thing: Thing) -> tuple[str, str]:
    """The full name of an object with its article, and its phrase in an edit."""
    if thing.kind == "plant":
        phrase = f"plant in {article(str(thing.colour))} {thing.colour} pot"
        return f"a {phrase}", phrase
    adjectives = [*([thing.pattern] if thing.pattern != "plain" else []), *([thing.colour] if thing.colour else [])]
    phrase = " ".join((*adjectives, thing.kind))
    return f"{article(phrase)} {phrase}", phrase


def recolour(name: str, told: Told, thing: Thing, colour: str, kind: EditKind = "colour") -> DemoEdit:
    """Give one object of a room another colour."""
    mention = told.mention(thing)
    words = list(told.caption.words)
    at = words.index(str(mention.colour), mention.start)
    words[at] = colour
    if words[at - 1] in ("a", "an"):
        words[at - 1] = article(colour)
    noun = mention.noun if mention.noun > at else at + 1  # "lamp", but the "pot" of "a plant in a red pot"
    return DemoEdit(
        name=name,
        kind=kind,
        source=told.scene,
        target=told.scene.change(thing, replace(thing, colour=colour)),
        source_prompt=told.caption.text,
        target_prompt=_text(words),
        words=(" ".join(words[at : noun + 1]),),
    )


def repattern(name: str, told: Told, thing: Thing, pattern: str) -> DemoEdit:
    """Give one plain object of a room a pattern."""
    mention = told.mention(thing)
    words = list(told.caption.words)
    at = words.index(str(mention.colour), mention.start)
    words[at:at] = [pattern]
    if words[at - 1] in ("a", "an"):
        words[at - 1] = article(pattern)
    return DemoEdit(
        name=name,
        kind="pattern",
        source=told.scene,
        target=told.scene.change(thing, replace(thing, pattern=pattern)),
        source_prompt=told.caption.text,
        target_prompt=_text(words),
        words=(f"{pattern} {thing.colour} {thing.kind}",),
    )


def swap(name: str, told: Told, thing: Thing, kind: str) -> DemoEdit:
    """Replace an object with one of another class in the same colour."""
    mention = told.mention(thing)
    new = replace(thing, kind=kind)
    said, phrase = named_in_full(new)
    words = [*told.caption.words[: mention.start], *said.split(), *told.caption.words[mention.end + 1 :]]
    return DemoEdit(
        name=name,
        kind="replacement",
        source=told.scene,
        target=told.scene.change(thing, new),
        source_prompt=told.caption.text,
        target_prompt=_text(words),
        words=(phrase,),
    )


def add(name: str, bare: Told, thing: Thing) -> DemoEdit:
    """Add an object to a room; the target prompt names it last."""
    said, phrase = named_in_full(thing)
    return DemoEdit(
        name=name,
        kind="addition",
        source=bare.scene,
        target=bare.scene.with_things([*bare.scene.things, thing]),
        source_prompt=bare.caption.text,
        target_prompt=_text([*bare.caption.words, ",", *said.split()]),
        words=(phrase,),
    )


def remove(name: str, bare: Told, thing: Thing) -> DemoEdit:
    """Remove an object from a room, the inverse of an addition: the target prompt has no new word."""
    there = add(name, bare, thing)
    return replace(
        there,
        kind="removal",
        source=there.target,
        target=there.source,
        source_prompt=there.target_prompt,
        target_prompt=there.source_prompt,
        words=(),
    )
