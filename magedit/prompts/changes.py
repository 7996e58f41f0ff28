"""Detection of the changes between two prompts, one per noun phrase."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from magedit.prompts import tagger
from magedit.prompts.lexicon import entry
from magedit.prompts.pairing import pair
from magedit.prompts.phrases import FILLING, JOINING, VERBS, Prompt, Unit

EditKind = Literal["attribute", "replacement", "addition", "removal"]

_DOING: Final = VERBS - {tagger.COPULA}
_MADE_OF: Final = (("made", "of"), ("made", "from"), ("out", "of"))


@dataclass(frozen=True)
class Change:
    """A changed object: its words in the source (``before``) and target prompt (``after``), empty where it is missing.

    ``words`` is the guided phrase of the target prompt, empty for a removal."""

    kind: EditKind
    before: str
    after: str
    words: str


def changes(source: Prompt, target: Prompt) -> tuple[Change, ...]:
    """The changes from ``source`` to ``target`` in the target's order, empty if only articles differ."""
    return tuple(_Reader(source, target).read())


class _Reader:
    """Left-to-right parser of the aligned units of two prompts."""

    def __init__(self, source: Prompt, target: Prompt) -> None:
        self.source, self.target = source, target
        self.pairs = pair(source.units, target.units)
        self.fresh = {new for old, new in self.pairs if new and not old}
        self.denied, self.granted = self._negations()

    def read(self) -> Iterator[Change]:
        at = 0
        is_replaced = False  # the unit before is another thing: what describes it belongs to it
        while at < len(self.pairs):
            old, new = self.pairs[at]
            if old and new:
                change = self._changed(at, old, new)
                is_replaced = bool(change) and old.is_phrase and new.is_phrase and old.head != new.head
                if change:
                    yield change
                at += 1
                continue
            end = at
            while end < len(self.pairs) and [each is None for each in self.pairs[end]] == [old is None, new is None]:
                end += 1
            units = [unit for each in self.pairs[at:end] for unit in each if unit]
            if is_replaced:
                listed = next((n for n, unit in enumerate(units) if unit.kind in JOINING), len(units))
                units = units[listed:]
                is_replaced = not units
            yield from self._lost(units, at, end) if old else self._gained(units, end)
            at = end

    def _negations(self) -> tuple[set[Unit], set[Unit]]:
        """The target's noun phrases that follow a new "without" or "no", and those that no longer do."""
        denied, granted = set(), set()
        partner = {old: new for old, new in self.pairs if old}
        for old, new in self.pairs:
            was, is_now = (each is not None and each.kind == tagger.NEGATION for each in (old, new))
            if is_now and new and not was:
                denied |= set(_next_phrase(self.target, new))
            if was and old and not is_now:
                granted |= {partner[phrase] for phrase in _next_phrase(self.source, old)} - {None}
        return denied, {unit for unit in granted if unit} - denied

    def _changed(self, at: int, old: Unit, new: Unit) -> Change | None:
        """The change that results from one unit replacing another."""
        if new in self.denied:
            return self._removal(old if old.is_phrase else new)
        if new in self.granted and old.is_phrase:
            return self._addition(new)
        if old.like(new) or tagger.NEGATION in (old.kind, new.kind):
            return None
        if old.is_phrase and new.is_phrase:
            if old.head == new.head:
                return self._same_thing(old, new)
            if self._is_quality(at, old, new):
                return self._change("attribute", old, new, new.named)
            return self._replacement(old, new)
        if old.is_phrase or new.is_phrase or tagger.ADJECTIVE in (old.kind, new.kind):
            if new.is_phrase and old.kind != tagger.ADJECTIVE:
                return self._addition(new)
            if new.is_phrase and not self._is_predicate(at):
                return self._replacement(old, new)
            if new.is_phrase or new.kind in _DOING | {tagger.ADJECTIVE}:
                return self._change("attribute", old, new, new.named)
            return None
        if old.kind in _DOING and new.kind in _DOING and not self._is_about_a_thing(at):
            return self._doing(old, new)
        return None

    def _same_thing(self, old: Unit, new: Unit) -> Change | None:
        """The changes of an object that remains: attributes, number, owner."""
        if old.core[:-1] != new.core[:-1]:
            if self._are_other_compounds(old, new):
                return self._change("replacement", old, new, new.end - 2)  # an apple tree, a palm tree
            fresh = _fresh(old.core, new.core)
            return self._change("attribute", old, new, new.named + min(fresh, default=0))
        if old.number > new.number:
            return Change("removal", self._text(old), self._text(new), "")
        if old.number < new.number:
            return self._change("addition", old, new, self._counted(new))
        if old.owner != new.owner and new.owner:
            start = new.start + min(_fresh(old.owner, new.owner), default=0)
            end = new.start + len(new.owner)
            return Change("replacement", self._text(old), self._text(new), self.target.pick(start, end))
        return None

    def _is_quality(self, at: int, old: Unit, new: Unit) -> bool:
        """Whether a noun describes an object: "made of leather", "a man in black", "is denim"."""
        is_bare = len(new.core) == len(new.words) and len(old.core) == len(old.words)
        if is_bare and len(new.core) == 1 and self._is_predicate(at):
            return True
        before = self.target.words[max(0, new.start - 2) : new.start]
        if before in _MADE_OF:
            return True
        if not is_bare or not before:
            return False
        return any(old.names(what) and new.names(what) and before[-1] in links for what, links in _TELLING.items())

    def _are_other_compounds(self, old: Unit, new: Unit) -> bool:
        """Whether both are compound nouns in the lexicon that differ in more than material or colour: "stone wall",
        "brick wall"."""
        if not new.compound or len(old.core) < 2 or old.core[-2] == new.core[-2] or not tagger.is_noun(old.core[-2]):
            return False
        found = [entry(unit.core[-2]) for unit in (old, new)]
        return not all(each and (set("mc") & set(each.names) or each.adjective > each.noun) for each in found)

    def _is_predicate(self, at: int) -> bool:
        """Whether the unit follows a verb of being, or a colon: "is red", "hair: red"."""
        before = self.pairs[at - 1].new if at else None
        return before is not None and (before.kind == tagger.COPULA or before.words == (":",))

    def _is_about_a_thing(self, at: int) -> bool:
        """Whether the noun before or after a verb changes too, or is negated: "eats grapes" to "drinks milk"."""
        for old, new in (*self.pairs[max(0, at - 1) : at], *self.pairs[at + 1 : at + 3]):
            if not (old and new and old.like(new)) and any(
                unit.is_phrase or unit.kind == tagger.NEGATION for unit in (old, new) if unit
            ):
                return True
        return False

    def _gained(self, units: Sequence[Unit], end: int) -> Iterator[Change]:
        things = _things(units)
        for unit in things:
            yield self._removal(unit) if unit in self.denied else self._addition(unit)
        if things:
            return
        for unit in units:
            if unit.kind == tagger.ADJECTIVE:
                yield self._change("attribute", None, unit, unit.start)
                return
        following = self.pairs[end].new if end < len(self.pairs) else None
        if following and (following.is_phrase or following.kind == tagger.NEGATION):
            return  # "with a hat" to "that has a hat"
        for unit in units:
            if unit.kind in _DOING:
                yield self._doing(None, unit)
                return

    def _lost(self, units: Sequence[Unit], at: int, end: int) -> Iterator[Change]:
        things = _things(units)
        for unit in things:
            # With the words that locate it: "a plant in a red pot".
            part = next((other.start for other in units if other.start > unit.end and other.kind in JOINING), None)
            last = units[-1].end if part is None else part
            while last > unit.end and self.source.classes[last - 1] not in "NKE":
                last -= 1
            yield Change("removal", self.source.slice(unit.start, last), "", "")
        if things or not any(unit.kind in _DOING | {tagger.ADJECTIVE} for unit in units):
            return
        # A quality vanishes, its noun stays: the one before, else the next.
        kept = [each.new for each in (*reversed(self.pairs[:at]), *self.pairs[end:])]
        thing = next((unit for unit in kept if unit and unit.is_phrase), None)
        if thing:
            lost = self.source.slice(units[0].start, units[-1].end)
            yield Change("attribute", lost, self._text(thing), self.target.pick(thing.named, thing.end))

    def _doing(self, old: Unit | None, new: Unit) -> Change:
        """A change of action: the subject with its new action."""
        place = self.target.units.index(new)
        before = self.target.units[place - 1] if place else new
        start = before.named if before.is_phrase else new.start
        # Another pose is another shape; a state ("painted", "open") is a quality.
        may_be_quality = new.kind == tagger.VERB and tagger.ADJECTIVE in tagger.candidates(new.words[0])
        is_state = new.kind == tagger.PASSIVE or may_be_quality
        return self._change("attribute" if is_state else "replacement", old, new, start)

    def _replacement(self, old: Unit, new: Unit) -> Change:
        """A replaced object: its name with new attributes, and its description if that is new too.

        Where a thing is all that the source names, and a background all that the target does, the thing is removed.
        """
        alone = len(self.source.units) == len(self.target.units) == 1
        if alone and new.head in FILLING and old.head not in FILLING:
            return Change("removal", self._text(old), self._text(new), "")
        start = new.named + min(_fresh(old.core, new.core), default=len(new.core) - 1)
        if start == new.end - 1 and len(new.core) > 1 and tagger.is_noun(new.core[-2]):
            start -= 1  # a compound noun is one name
        return self._change("replacement", old, new, start, self.target.extent(new, self.fresh)[1])

    def _addition(self, unit: Unit) -> Change:
        return self._change("addition", None, unit, self._counted(unit), self.target.extent(unit, self.fresh)[1])

    def _removal(self, unit: Unit) -> Change:
        prompt = self.source if unit in self.source.units else self.target
        return Change("removal", prompt.slice(*prompt.extent(unit)), "", "")

    def _change(self, kind: EditKind, old: Unit | None, new: Unit, start: int, end: int | None = None) -> Change:
        end = new.end if end is None else end
        before = self._text(old) if old else ""
        return Change(kind, before, self.target.slice(new.start, end), self.target.pick(start, end))

    def _counted(self, unit: Unit) -> int:
        """Start of an object's name, with its number: "two swans", but "swan" of "a swan"."""
        start = unit.named
        while start > unit.start and self.target.classes[start - 1] == tagger.NUMBER:
            start -= 1
        return start

    def _text(self, unit: Unit) -> str:
        prompt = self.source if unit in self.source.units else self.target
        return prompt.slice(unit.start, unit.end)


_TELLING: Final = {"c": ("in",), "m": ("of", "in", "from")}


def _things(units: Sequence[Unit]) -> list[Unit]:
    """The noun phrases that a run of units describes: the first and those listed with it; others only locate it."""
    found = []
    is_open = True
    for unit in units:
        if unit.kind in JOINING:
            is_open = True
        elif unit.is_phrase and is_open:
            found.append(unit)
            is_open = False
    return found


def _next_phrase(prompt: Prompt, unit: Unit) -> Iterator[Unit]:
    for following in prompt.units[prompt.units.index(unit) + 1 :]:
        if following.is_phrase:
            yield following
        if following.is_phrase or following.kind in JOINING:
            return


def _fresh(old: Sequence[str], new: Sequence[str]) -> list[int]:
    """Positions in ``new`` of words that are missing or less frequent in ``old``."""
    left = list(old)
    found = []
    for place, word in enumerate(new):
        if word in left:
            left.remove(word)
        elif word not in ("and", ",", "&"):
            found.append(place)
    return found
