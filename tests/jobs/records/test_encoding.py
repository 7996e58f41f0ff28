"""A record as Redis keeps it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.records.encoding import decode, decode_pairs, encode, flat
from jobs.schema import EditRequest, JobRecord, Problem, State, StoredObject
from magedit.config import EditConfig, Region
from magedit.measures.report import EditMeasures, Progress, Ratios, Stage


def record(**changes: Any) -> JobRecord:
    """A record with something in every kind of field."""
    known = {
        "tenant": "acme",
        "request": EditRequest(
            model="demo",
            source_prompt='ein "Zimmer" 🛋',
            target_prompt="b",
            regions=(Region(words=("b",), weight=0.25), Region()),
            config=EditConfig(steps=3, equalizer={"b": 2.0}),
        ),
        "image": "acme/image.png",
        "masks": ("m0", "m1"),
        "ancestors": ("0" * 32,),
        "source_edit": "0" * 32,
        "webhook_url": "https://example.com/123",
        "state": State.RUNNING,
        "worker": "7",
        "attempt": 2,
        "created_at": 1.5,
        "progress": Progress(stage=Stage.EDIT, step=2, steps=4, fraction=0.5),
        "measures": EditMeasures(after=(Ratios(token=0.1, spatial=0.2),), words=(("b",),)),
        "results": (StoredObject(name="r", key="k", content_type="image/png", size=1, sha256="00"),),
        "problem": Problem(title="t", status=500, detail="d", code="c"),
    }
    return JobRecord.model_validate(known | changes)


def as_redis(fields: dict[str, str]) -> dict[bytes, bytes]:
    """A hash as Redis answers it."""
    return {name.encode(): value.encode() for name, value in fields.items()}


def test_a_record_round_trips() -> None:
    kept = record()
    assert decode(as_redis(encode(kept))) == kept
    pairs = [text.encode() for text in flat(encode(kept))]
    assert decode_pairs(pairs) == kept


def test_none_values_are_not_stored() -> None:
    fields = encode(record(worker=None, progress=None, measures=None, problem=None))
    assert {"worker", "progress", "measures", "problem", "deadline_at"}.isdisjoint(fields)
    assert decode(as_redis(fields)).worker is None


def test_scripts_compare_text_and_numbers_as_they_are() -> None:
    fields = encode(record(cancel_requested=True))
    # A worker whose name reads as a number, or a state, has no quotes; a flag is what `HSET key flag 1` writes.
    told = {name: fields[name] for name in ("state", "worker", "attempt", "cancel_requested")}
    assert told == {"state": "running", "worker": "7", "attempt": "2", "cancel_requested": "1"}
    assert json.loads(fields["masks"]) == ["m0", "m1"]
    assert decode(as_redis(fields)).cancel_requested is True


def test_a_record_of_another_version_raises_value_error() -> None:
    good = as_redis(encode(record()))
    for wrong in ({b"field_of_tomorrow": b"1"}, {b"masks": b"no JSON"}, {b"state": b"lost"}):
        with pytest.raises(ValueError, match=r"."):
            decode(good | wrong)


def test_records_of_an_earlier_version_are_read_with_the_present_names() -> None:
    whole = record(request=record().request.model_copy(update={"compare": (EditConfig(guidance_step_size=2.0),)}))
    fields = encode(whole)
    request = fields["request"].replace('"guidance_step_size"', '"scale"').replace('"weight"', '"strength"')
    measures = fields["measures"].replace('"paste_margin_px"', '"dilation"')
    assert '"scale"' in request
    assert '"dilation"' in measures
    earlier = {
        name.encode(): value.encode() for name, value in (fields | {"request": request, "measures": measures}).items()
    }
    assert decode(earlier) == whole
