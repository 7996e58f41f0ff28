from __future__ import annotations

import time

import pytest
from pydantic import ValidationError

from jobs.schema import EditRequest, JobRecord, State, id_time, new_id
from magedit.config import EditConfig, Region


def request(**changes: object) -> EditRequest:
    fields = {"model": "demo", "source_prompt": "a", "target_prompt": "b", "regions": [{"words": ["b"]}], **changes}
    return EditRequest.model_validate(fields)


def test_ids_sort_by_time_and_are_version_7() -> None:
    ids = [new_id() for _ in range(200)]
    assert len(set(ids)) == 200
    assert [job_id[:12] for job_id in ids] == sorted(job_id[:12] for job_id in ids)
    assert {(len(job_id), job_id[12]) for job_id in ids} == {(32, "7")}
    assert {job_id[16] for job_id in ids} <= set("89ab")


def test_ids_tell_their_time() -> None:
    before = time.time()
    told = id_time(new_id())
    assert told is not None
    assert before - 0.002 <= told <= time.time()
    for other in ("", "0" * 32, "x" * 32, new_id().upper() + "0", new_id()[:-1]):
        assert id_time(other) is None


def test_terminal_states() -> None:
    assert {state for state in State if state.is_terminal} == {State.SUCCEEDED, State.FAILED, State.CANCELED}


def test_the_config_is_the_librarys_with_its_bounds() -> None:
    assert request(config={"steps": 7}).config == EditConfig(steps=7)
    with pytest.raises(ValidationError, match="less than or equal to 250"):
        request(config={"steps": 251})
    with pytest.raises(ValidationError, match="'mag-edit', 'p2p'"):
        request(config={"method": "magic"})


@pytest.mark.parametrize(
    "change",
    [
        {"source_prompt": "x" * 1001},
        {"target_prompt": "x" * 1001},
        {"target_prompt": ""},
        {"regions": []},
        {"colour": "red"},
    ],
)
def test_invalid_requests_are_rejected(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        request(**change)


def test_a_record_knows_model_seed_and_expiry() -> None:
    record = JobRecord(tenant="t", request=request(config={"seed": 5}), image="i", masks=("m",), expires_at=100.0)
    assert (record.model, record.seed, record.request.regions) == ("demo", 5, (Region(words=("b",)),))
    assert not record.is_expired(99.9)
    assert record.is_expired(100.0)


@pytest.mark.parametrize("tenant", ["", "a/b", "a:b", "..", "x" * 65])
def test_a_tenants_name_fits_into_keys(tenant: str) -> None:
    with pytest.raises(ValidationError, match="tenant"):
        JobRecord(tenant=tenant, request=request(), image="i", masks=("m",))
