"""Holds what the callers saw against the history and the end state. Pure; every rule is one function.

The rules, by the name of their violations:

- `lost`: an accepted edit has no record, or is not finished;
- `duplicate`: one id was given out twice, or one submit made two records;
- `repeat`: a submit that was repeated with its `Idempotency-Key` was answered with another edit;
- `double commit`: a record became terminal or got results more than once, in the history of every write;
- `transition`: a record changed its state in a way that the table of `jobs.records.lifecycle` does not have;
- `changed`: a caller saw a finished edit differently later, or the record differs from what was seen;
- `canceled`: a cancel was accepted and the edit ended otherwise, or it was canceled and nobody asked;
- `failed`: an edit failed for a reason that the faults do not explain;
- `missing object`, `wrong hash`: a result is not there, or other bytes are;
- `wrong picture`: two results of the same request differ;
- `fetch`: a front end answered with bytes that are not the record's;
- `expiry`: a picture was told to have expired before its time, or is there long after it;
- `orphan`: pictures that no record names are there long after their time;
- `unheard`: there is a record that nobody was told of, and no lost answer explains it;
- `leftover`: something in Redis speaks of an unfinished edit;
- `index`: the tenant's lists and the records disagree;
- `answer`: a front end gave an answer that no fault explains.

A picture that has expired by the end was fetched by its caller, or the caller came too late and was told so. Where the
soak itself was dead meanwhile, there was no caller. Younger objects that no record names are no violation: they are
listed as orphans.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from jobs.records.lifecycle import TRANSITIONS
from jobs.schema import JobRecord, State, id_time
from tests.soak.evidence.aof import Life
from tests.soak.evidence.census import Census
from tests.soak.evidence.journal import Line, of

HEARD: Final = frozenset({200, 202})
"""Answers that accept a cancel."""

MARKER_SCALE = 1e9
"""A marker is this many times the learning rate that carries it, which is at most 1."""

SWEPT_WITHIN_S = 60.0
"""How long after its time what is to be swept may be there, in seconds: sweeps meet outages, and begin anew."""

CLOCK_ERROR_S = 1e-3
"""Times in answers have microseconds, in records too; floats lose some."""


@dataclass(frozen=True)
class Violation:
    """One broken promise."""

    rule: str
    id: str
    detail: str


@dataclass(frozen=True)
class Evidence:
    """Everything that is known at the end of a soak."""

    lines: list[Line]
    lives: dict[str, Life]
    census: Census
    max_attempts: int
    orphan_s: float = float("inf")
    """Age at which pictures that no record names are swept, with the pause between two searches, in seconds."""
    swept_within_s: float = SWEPT_WITHIN_S

    def is_expired(self, record: JobRecord) -> bool:
        """Whether it was to be kept only until before the census."""
        return record.is_expired(self.census.at)


def check(evidence: Evidence) -> list[Violation]:
    """Every violation of every rule."""
    return [violation for rule in RULES for violation in rule(evidence)]


def marker_of(record: JobRecord) -> int:
    """Which submit the record comes from."""
    return round(record.request.config.null_text_learning_rate * MARKER_SCALE)


def lost(evidence: Evidence) -> Iterator[Violation]:
    for line in of(evidence.lines, "accepted"):
        record = evidence.census.records.get(line["id"])
        if record is None:
            yield Violation("lost", line["id"], "accepted, and there is no record")
    for record in evidence.census.records.values():
        if not record.state.is_terminal:
            yield Violation("lost", record.id, f"still {record.state}, attempt {record.attempt}")


def duplicates(evidence: Evidence) -> Iterator[Violation]:
    given = Counter(line["id"] for line in of(evidence.lines, "accepted"))
    markers = Counter(marker_of(record) for record in evidence.census.records.values())
    for edit_id, count in given.items():
        if count > 1:
            yield Violation("duplicate", edit_id, f"given out {count} times")
    for marker, count in markers.items():
        if count > 1:
            yield Violation("duplicate", str(marker), f"one submit made {count} records")


def repeats(evidence: Evidence) -> Iterator[Violation]:
    first = {line["marker"]: line["id"] for line in of(evidence.lines, "accepted")}
    for line in of(evidence.lines, "repeated"):
        if line["id"] != first.get(line["marker"]):
            yield Violation("repeat", line["id"], f"submit {line['marker']} had been {first.get(line['marker'])}")


def double_commits(evidence: Evidence) -> Iterator[Violation]:
    for edit_id, life in evidence.lives.items():
        if life.ends > 1 or life.committed > 1 or len(life.finished_at) > 1:
            yield Violation("double commit", edit_id, f"{life.states}, results written {life.committed} times")


def transitions(evidence: Evidence) -> Iterator[Violation]:
    for edit_id in evidence.census.records:
        if edit_id not in evidence.lives:
            yield Violation("transition", edit_id, "a record without a history")
    for edit_id, life in evidence.lives.items():
        if life.states[0] != State.QUEUED:
            yield Violation("transition", edit_id, f"began {life.states[0]}")
        for before, after in zip(life.states, life.states[1:], strict=False):
            if after not in TRANSITIONS[State(before)]:
                yield Violation("transition", edit_id, f"from {before} to {after}")


def changes(evidence: Evidence) -> Iterator[Violation]:
    last: dict[str, Line] = {}
    for line in of(evidence.lines, "seen"):
        before = last.get(line["id"])
        last[line["id"]] = line
        if before is not None and State(before["state"]).is_terminal and _told(before) != _told(line):
            yield Violation("changed", line["id"], f"from {_told(before)} to {_told(line)}")
    for edit_id, line in last.items():
        record = evidence.census.records.get(edit_id)
        if record is not None and State(line["state"]).is_terminal and not _agree(line, record):
            yield Violation("changed", edit_id, f"seen as {_told(line)}, kept as {record.state} {record.attempt}")


def _told(line: Line) -> tuple[object, ...]:
    return line["state"], line["attempt"], line["finished_at"], line["sha256"]


def _agree(line: Line, record: JobRecord) -> bool:
    at = datetime.fromisoformat(line["finished_at"]).timestamp()
    return (
        line["state"] == record.state
        and line["attempt"] == record.attempt
        and line["sha256"] == [stored.sha256 for stored in record.results]
        and abs(at - (record.finished_at or 0.0)) < CLOCK_ERROR_S
    )


def cancels(evidence: Evidence) -> Iterator[Violation]:
    tried = {line["id"] for line in of(evidence.lines, "cancel")}
    heard = {line["id"] for line in of(evidence.lines, "cancel") if line["status"] in HEARD}
    for record in evidence.census.records.values():
        if record.id in heard and record.state is not State.CANCELED:
            yield Violation("canceled", record.id, f"a cancel was accepted, and the edit {record.state}")
        if record.state is State.CANCELED and record.id not in tried:
            yield Violation("canceled", record.id, "nobody asked for that")


def failures(evidence: Evidence) -> Iterator[Violation]:
    for record in evidence.census.records.values():
        if record.state is not State.FAILED:
            continue
        code = record.problem.code if record.problem else "no problem"
        counted = record.attempt - record.handed_back
        if code != "worker_lost" or counted < evidence.max_attempts:
            yield Violation("failed", record.id, f"{code}, after {counted} attempts")


def pictures(evidence: Evidence) -> Iterator[Violation]:
    census = evidence.census
    # Who asked too late was told so; whether it was too late, `expiries` says.
    fetched = {line["id"] for line in of(evidence.lines, "fetched", "gone")}
    heard = {line["id"] for line in of(evidence.lines, "accepted")} - fetched
    since = max((line["t"] for line in of(evidence.lines, "run")), default=0.0)
    owed = {each for each in heard if each in census.records and (census.records[each].finished_at or 0.0) > since}
    for record in census.records.values():
        if record.state is State.SUCCEEDED and not record.results:
            yield Violation("missing object", record.id, "succeeded without a result")
        if evidence.is_expired(record):
            if record.id in owed and record.state is State.SUCCEEDED:
                yield Violation("missing object", record.id, "expired, and its caller never got it")
            continue
        for stored in (*record.results, *record.artifacts):
            if stored.key not in census.digests:
                yield Violation("missing object", record.id, stored.key)
            elif census.digests[stored.key] != stored.sha256:
                yield Violation("wrong hash", record.id, stored.key)


def same_pictures(evidence: Evidence) -> Iterator[Violation]:
    """All results of one kind of request are the same; the most frequent is taken to be right."""
    by_variant: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for line in of(evidence.lines, "accepted"):
        record = evidence.census.records.get(line["id"])
        if record is not None and record.results:
            by_variant[line["variant"]].append((record.id, record.results[0].sha256))
    for variant, results in by_variant.items():
        right, _ = Counter(sha256 for _, sha256 in results).most_common(1)[0]
        for edit_id, sha256 in results:
            if sha256 != right:
                yield Violation("wrong picture", edit_id, f"{variant}: {sha256[:12]}, others {right[:12]}")


def fetches(evidence: Evidence) -> Iterator[Violation]:
    for line in of(evidence.lines, "fetched"):
        if not line["good"]:
            yield Violation("fetch", line["id"], "other bytes than the record's checksum says")


def left(evidence: Evidence) -> Iterator[Violation]:
    for name, ids in evidence.census.leftovers.items():
        for each in sorted(ids):
            yield Violation("leftover", each, name)


def index(evidence: Evidence) -> Iterator[Violation]:
    census = evidence.census
    records = set(census.records)
    # An edit that expired leaves the lists; its record stays for a while.
    buried = {record.id for record in census.records.values() if evidence.is_expired(record)} - census.index["all"]
    for each in sorted((records - buried) ^ census.index["all"]):
        yield Violation("index", each, "record without entry" if each in records else "entry without record")
    for state in State:
        rightly = {record.id for record in census.records.values() if record.state is state}
        for each in sorted((rightly - buried) ^ census.index[state]):
            yield Violation("index", each, f"list of {state}")


def expiries(evidence: Evidence) -> Iterator[Violation]:
    census = evidence.census
    for line in of(evidence.lines, "gone"):
        record = census.records.get(line["id"])
        if record is not None and not record.is_expired(line["t"] + CLOCK_ERROR_S):
            yield Violation("expiry", line["id"], "gone before its time")
    for record in census.records.values():
        if record.is_expired(census.at - evidence.swept_within_s) and (
            record.id in census.index["all"] or census.objects.get(record.id)
        ):
            yield Violation("expiry", record.id, "there long after its time")


def swept(evidence: Evidence) -> Iterator[Violation]:
    for edit_id, keys in _orphans(evidence.census).items():
        made = id_time(edit_id)
        if made is not None and evidence.census.at - made > evidence.orphan_s + evidence.swept_within_s:
            yield Violation("orphan", edit_id, f"{len(keys)} objects, such as {keys[0]}")


def unheard(evidence: Evidence) -> Iterator[Violation]:
    heard = {line["id"] for line in of(evidence.lines, "accepted")}
    sent = {line["marker"] for line in of(evidence.lines, "sent")}
    refused = {line["marker"] for line in of(evidence.lines, "refused")}
    for record in evidence.census.records.values():
        if record.id not in heard and marker_of(record) not in sent - refused:
            yield Violation("unheard", record.id, f"of submit {marker_of(record)}, which was never sent or was refused")


def answers(evidence: Evidence) -> Iterator[Violation]:
    for line in of(evidence.lines, "oops"):
        yield Violation("answer", "", line["detail"])


RULES: Final[tuple[Callable[[Evidence], Iterator[Violation]], ...]] = (
    lost,
    duplicates,
    repeats,
    double_commits,
    transitions,
    changes,
    cancels,
    failures,
    pictures,
    same_pictures,
    fetches,
    left,
    index,
    expiries,
    swept,
    unheard,
    answers,
)


def orphans(census: Census) -> list[str]:
    """Objects that no record names."""
    return [key for found in _orphans(census).values() for key in found]


def _orphans(census: Census) -> dict[str, list[str]]:
    found = {}
    for edit_id, keys in census.objects.items():
        record = census.records.get(edit_id)
        named: set[str] = set()
        if record is not None:
            named = {record.image, *record.masks, *(each.key for each in (*record.results, *record.artifacts))}
        if keys - named:
            found[edit_id] = sorted(keys - named)
    return found
