"""Random, reproducible sets of edits with known results: every kind, plain and complex."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from magedit.demo.edits import (
    COMPLEXITIES,
    EDIT_KINDS,
    Complexity,
    DemoEdit,
    EditKind,
    Told,
    add,
    recolour,
    remove,
    repattern,
    swap,
)
from magedit.demo.palette import COLOURS, PATTERNED, PATTERNS
from magedit.demo.scene import Scene, Thing, clashes, sample_scene, with_twin

SWAPS: Final = {
    "ball": "table",
    "table": "ball",
    "picture": "clock",
    "clock": "picture",
    "lamp": "plant",
    "plant": "lamp",
}
"""Classes that may take one another's place: they anchor at the same point."""
REMOVABLE: Final = ("ball", "table", "picture", "clock", "lamp", "plant", "pillow")
RECOLOURED: Final = ("sofa", "carpet", "picture", "ball", "table", "curtain", "pillow")
PARTED: Final = ("lamp", "plant", "clock")
"""Classes whose colour is that of one part: shade, pot, face."""
NAMED_BESIDES: Final = 2
"""Most things that the prompts of a complex edit name besides the edited one."""

Maker = Callable[[str, Scene, bool, random.Random], DemoEdit | None]


def _is_single(scene: Scene, thing: Thing) -> bool:
    """Whether an object is the only one of its class and colour, so that a prompt identifies it."""
    return not any(
        other != thing and (other.kind == thing.kind or other.colour == thing.colour) for other in scene.things
    )


def _crowd(scene: Scene, thing: Thing, rng: random.Random) -> Scene | None:
    """The room with a twin of this object or, if there is no slot for one, another object of the same colour."""
    crowded = with_twin(scene, thing, rng)
    if crowded is None:
        others = [other for other in scene.things if other != thing and other.colour]
        if not others:
            return None
        chosen = rng.choice(others)
        crowded = scene.change(chosen, replace(chosen, colour=thing.colour))
    return None if clashes(crowded) else crowded


def _pick(
    scene: Scene, kinds: tuple[str, ...], is_complex: bool, rng: random.Random, needs: str | None = None
) -> tuple[Scene, Thing] | None:
    """An object of one of these classes (with the pattern `needs`) in a room of this complexity."""
    things = [thing for thing in scene.things if thing.kind in kinds and needs in (None, thing.pattern)]
    if not is_complex:
        things = [thing for thing in things if _is_single(scene, thing)]
    if not things:
        return None
    thing = rng.choice(things)
    crowded = _crowd(scene, thing, rng) if is_complex else scene
    return (crowded, thing) if crowded else None


def _told(scene: Scene, thing: Thing | None, is_complex: bool, rng: random.Random) -> Told:
    """A caption of all objects; in a complex room, of `thing`, its twins and a few others."""
    things = scene.things
    if is_complex:
        twins = [other for other in things if thing and other.kind == thing.kind]
        others = [other for other in things if other not in twins]
        twins += rng.sample(others, min(len(others), rng.randint(0 if twins else 1, NAMED_BESIDES)))
        things = tuple(twins)
    return Told.of(scene, things, rng)


def _colour_for(scene: Scene, thing: Thing, rng: random.Random) -> str:
    others = [colour for colour in COLOURS if colour != thing.colour]
    return rng.choice([c for c in others if not clashes(scene.change(thing, replace(thing, colour=c)))])


def _recolour(kinds: tuple[str, ...], kind: EditKind) -> Maker:
    def make(name: str, scene: Scene, is_complex: bool, rng: random.Random) -> DemoEdit | None:
        picked = _pick(scene, kinds, is_complex, rng)
        if picked is None:
            return None
        scene, thing = picked
        edit = recolour(name, _told(scene, thing, is_complex, rng), thing, _colour_for(scene, thing, rng), kind)
        return _of_either_twin(edit, rng)

    return make


def _of_either_twin(edit: DemoEdit, rng: random.Random) -> DemoEdit:
    """The edit applied to a randomly chosen twin: with the same prompts, either twin can be the one that changes."""
    (before,), (after,) = edit.vanishing, edit.appearing
    like = [
        thing
        for thing in edit.source.things
        if (thing.kind, thing.colour, thing.pattern) == (before.kind, before.colour, before.pattern)
    ]
    chosen = rng.choice(like)
    new = replace(chosen, colour=after.colour, pattern=after.pattern)
    return replace(edit, target=edit.source.change(chosen, new))


def _pattern(name: str, scene: Scene, is_complex: bool, rng: random.Random) -> DemoEdit | None:
    picked = _pick(scene, PATTERNED, is_complex, rng, "plain")
    if picked is None:
        return None
    scene, thing = picked
    edit = repattern(name, _told(scene, thing, is_complex, rng), thing, rng.choice(PATTERNS[1:]))
    return _of_either_twin(edit, rng)


def _swap(name: str, scene: Scene, is_complex: bool, rng: random.Random) -> DemoEdit | None:
    here = {thing.kind for thing in scene.things}
    picked = _pick(scene, tuple(kind for kind in SWAPS if SWAPS[kind] not in here), is_complex, rng)
    if picked is None:
        return None
    scene, thing = picked
    if clashes(scene.change(thing, replace(thing, kind=SWAPS[thing.kind]))):
        return None
    return swap(name, _told(scene, thing, is_complex, rng), thing, SWAPS[thing.kind])


def _without(edit: Callable[[str, Told, Thing], DemoEdit]) -> Maker:
    def make(name: str, scene: Scene, is_complex: bool, rng: random.Random) -> DemoEdit | None:
        picked = _pick(scene, REMOVABLE, is_complex, rng)
        if picked is None or len(scene.things) < 3:
            return None
        scene, thing = picked
        bare = scene.with_things(other for other in scene.things if other != thing)
        return edit(name, _told(bare, thing, is_complex, rng), thing)

    return make


_MAKERS: Final[dict[EditKind, Maker]] = {
    "colour": _recolour(RECOLOURED, "colour"),
    "pattern": _pattern,
    "part": _recolour(PARTED, "part"),
    "replacement": _swap,
    "addition": _without(add),
    "removal": _without(remove),
}


def sample_edits(kind: EditKind, number: int, seed: int = 0, complexity: Complexity = "plain") -> Iterator[DemoEdit]:
    """The first `number` edits of a kind, always the same for a seed; rooms outside the training set.

    Raises:
        ValueError: the kind is not one of `EDIT_KINDS`, or the complexity not one of `COMPLEXITIES`.
    """
    if kind not in _MAKERS:
        raise ValueError(f"edit kind {kind!r} is unknown: use one of {', '.join(EDIT_KINDS)}")
    if complexity not in COMPLEXITIES:
        raise ValueError(f"complexity {complexity!r} is unknown: use one of {', '.join(COMPLEXITIES)}")
    rng = random.Random(f"{seed}/edits/{complexity}/{kind}")
    made = 0
    while made < number:
        name = f"{complexity}-{kind}-{made}"
        edit = _MAKERS[kind](name, sample_scene(rng), complexity == "complex", rng)
        if edit is not None and edit.mask().getbbox() is not None:
            made += 1
            yield replace(edit, complexity=complexity)


def edit_set(number: int, seed: int = 0) -> tuple[DemoEdit, ...]:
    """`number` edits of each kind, plain ones first, then complex ones."""
    return tuple(
        edit
        for complexity in COMPLEXITIES
        for kind in EDIT_KINDS
        for edit in sample_edits(kind, number, seed, complexity)
    )
