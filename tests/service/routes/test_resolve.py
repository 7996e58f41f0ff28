"""What a request would come to, over real HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from magedit.client import form_data
from tests.fuzz import framing
from tests.service.conftest import Form, WorkerSide, assert_problem

PROMPTS = {"source_prompt": "a room with a green carpet", "target_prompt": "a room with a purple carpet"}
URL = "/v1/edits/resolve"


def test_json_and_form_are_read_like_an_edit(client: httpx.Client, form: Form) -> None:
    values: dict[str, Any] = {
        **PROMPTS,
        "equalizer": {"purple": 2},
        "steps": 12,
        "sweep": [0.5, 1],
        "max_iterations": None,
    }
    told = client.post(URL, json=values)
    assert told.status_code == 200, told.text
    for kind in ({"data": form_data(**values)}, {"files": [(name, (None, text)) for name, text in _texts(values)]}):
        assert client.post(URL, **kind).json() == told.json()
    form.data |= form_data(**values)
    edit = form.send(client).json()["request"]
    resolved = told.json()
    assert resolved["kind"] == edit["kind"]
    assert [[word["word"] for word in region["words"]] for region in resolved["regions"]] == [["purple carpet"]]
    for name, parameter in resolved["parameters"].items():
        # The edit leaves these two open: the checkpoint's step size, and the method's share of skipped steps.
        if parameter["origin"] != "checkpoint" and name != "skip_fraction":
            assert parameter["value"] == edit["config"][name], name
    assert resolved["parameters"]["skip_fraction"] == {"value": 0.0, "origin": "method"}
    assert resolved["results"] == 2
    assert resolved["problems"] == []


def _texts(values: dict[str, Any]) -> list[tuple[str, str]]:
    pairs = form_data(**values).items()
    return [(name, each) for name, text in pairs for each in (text if isinstance(text, list) else [text])]


def test_a_form_is_whole_and_a_single_field_sent_once(client: httpx.Client) -> None:
    parts = [framing.part(name.encode(), text.encode()) for name, text in PROMPTS.items()]
    headers = {"content-type": f"multipart/form-data; boundary={framing.BOUNDARY.decode()}"}
    whole = framing.form(parts)
    assert client.post(URL, content=whole, headers=headers).status_code == 200
    assert_problem(client.post(URL, content=whole[:-6], headers=headers), 400, "malformed_request")
    twice = framing.form([*parts, parts[-1]])
    assert_problem(client.post(URL, content=twice, headers=headers), 422, "invalid_request", "target_prompt")


def test_prompts_are_returned_in_parts(client: httpx.Client) -> None:
    told = client.post(URL, json={**PROMPTS, "target_prompt": "a room with a purple Zebra!"}).json()
    pieces = [(each["text"], each["is_new"], each["is_unknown"]) for each in told["pieces"]]
    assert "".join(text for text, *_ in pieces) == "a room with a purple Zebra!"
    assert [piece for piece in pieces if piece[1]] == [("purple", True, False), ("Zebra", True, True)]
    assert told["prompts"]["target_prompt"]["unknown"] == ["Zebra"]
    assert told["prompts"]["source_prompt"] == {
        "text": PROMPTS["source_prompt"],
        "tokens": 6,
        "max_tokens": 10,
        "unknown": [],
    }
    assert [problem["code"] for problem in told["problems"]] == ["prompt_not_supported"]


def test_problems_of_the_request_are_listed(client: httpx.Client) -> None:
    told = client.post(URL, json={**PROMPTS, "words": ["purple", "zebra"], "method": "pnp"}).json()
    assert [(each["code"], each["field"]) for each in told["problems"]] == [
        ("unknown_method", "method"),
        ("word_not_in_target_prompt", "words"),
    ]
    assert [(each["word"], each["is_found"]) for each in told["regions"][0]["words"]] == [
        ("purple", True),
        ("zebra", False),
    ]


def test_cost_and_sources_are_reported(client: httpx.Client) -> None:
    one, two = (client.post(URL, json={**PROMPTS, "method": "p2p", "n": n}).json() for n in (1, 2))
    assert one["passes"]["whole"] < two["passes"]["whole"] < 2 * one["passes"]["whole"]
    assert (one["is_guided"], one["methods"]) == (False, ["p2p"])
    assert one["parameters"]["method"] == {"value": "p2p", "origin": "given"}
    assert one["parameters"]["guidance_scale"]["origin"] == "default"


@pytest.mark.parametrize(
    ("request_", "status", "code", "field"),
    [
        ({"json": {**PROMPTS, "steps": 1}}, 422, "invalid_request", "steps"),
        ({"json": {**PROMPTS, "stepz": 9}}, 422, "invalid_request", "stepz"),
        ({"data": {**PROMPTS, "regions": "["}}, 422, "invalid_request", "regions"),
        ({"json": {**PROMPTS, "model": "sd9"}}, 422, "unknown_model", "model"),
        ({"json": {**PROMPTS, "source_edit": "0" * 32}}, 404, "not_found", None),
        ({"content": b"text"}, 415, "unsupported_media_type", None),
    ],
)
def test_unreadable_requests_are_rejected(
    client: httpx.Client, request_: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    assert_problem(client.post(URL, **request_), status, code, field)


def test_the_source_edit_supplies_the_source_prompt(client: httpx.Client, form: Form, worker_side: WorkerSide) -> None:
    edit = form.send(client).json()
    worker_side.succeed(worker_side.claim(edit["id"]))
    told = client.post(URL, json={"target_prompt": "a room with a green carpet", "source_edit": edit["id"]}).json()
    assert told["prompts"]["source_prompt"]["text"] == PROMPTS["target_prompt"]


def test_the_parsed_instruction_is_shown(client: httpx.Client) -> None:
    told = client.post(URL, json={"instruction": "make the left carpet purple"}).json()
    assert told["instruction"]["phrase"] == "left carpet"
    assert {name: prompt["text"] for name, prompt in told["prompts"].items() if prompt["text"]} == {
        "source_prompt": "a carpet",
        "target_prompt": "a purple carpet",
    }
    assert [each["field"] for each in client.post(URL, json={}).json()["problems"]] == ["target_prompt"]
    refused = client.post(URL, json={"instruction": "make it purple"}).json()
    assert [each["code"] for each in refused["problems"]] == ["instruction_not_understood"]
    assert refused["instruction"] is None


def test_without_a_mask_the_instruction_has_to_say_where(client: httpx.Client) -> None:
    for instruction, fields in (("add a ball", ["mask"]), ("make the left carpet purple", [])):
        told = client.post(URL, json={"instruction": instruction, "masks": 0}).json()
        assert [each["field"] for each in told["problems"]] == fields
