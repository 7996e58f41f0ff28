"""What callers see of a record."""

from __future__ import annotations

from jobs.schema import EditRequest, JobRecord, State
from magedit.config import Region
from service.edits.views import edit_view


def record(**changes: object) -> JobRecord:
    request = EditRequest(
        model="demo", source_prompt="a room", target_prompt="a red room", regions=(Region(words=("red",)),)
    )
    known = {"tenant": "tenant-7", "request": request, "image": "tenant-7/1/input/image.png", "masks": ("m",)}
    return JobRecord.model_validate(known | {"created_at": 1000.0} | changes)


def test_storage_keys_and_owners_are_not_exposed() -> None:
    text = edit_view(record(worker="host-1"), position=0, model=None, now=1000.0).model_dump_json()
    for inside in ("tenant-7", "input/image.png", "host-1"):
        assert inside not in text


def test_times_are_utc_and_durations_seconds() -> None:
    done = record(state=State.SUCCEEDED, attempt=1, started_at=1002.5, finished_at=1010.0, expires_at=2000.0)
    view = edit_view(done, position=None, model=None, now=1010.0).model_dump(mode="json")
    assert view["timings"] == {
        "created_at": "1970-01-01T00:16:40Z",
        "started_at": "1970-01-01T00:16:42.500000Z",
        "finished_at": "1970-01-01T00:16:50Z",
        "waiting_s": 2.5,
        "running_s": 7.5,
    }
    assert view["expires_at"] == "1970-01-01T00:33:20Z"


def test_links_are_paths_on_this_server() -> None:
    one = record()
    view = edit_view(one, position=0, model=None, now=1000.0)
    assert view.links.self == f"/v1/edits/{one.id}"
    assert {view.links.result, view.links.artifacts, view.links.events, view.links.cancel} == {
        f"/v1/edits/{one.id}/{name}" for name in ("result", "artifacts", "events", "cancel")
    }
