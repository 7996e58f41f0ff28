"""Methods over HTTP."""

from __future__ import annotations

import dataclasses

import httpx

from magedit.config import EditConfig
from tests.service.conftest import Announce, Form


def test_methods_with_their_models_and_parameters(client: httpx.Client, announce: Announce) -> None:
    announce(name="sd14", methods=("p2p",), inversions=("direct", "null-text"))
    announce(name="away", ttl_s=-1)
    response = client.get("/v1/methods")
    body = response.json()
    assert {each["name"]: each["models"] for each in body["methods"]} == {"mag-edit": ["demo"], "p2p": ["demo", "sd14"]}
    inversions = {each["name"]: each["models"] for each in body["inversions"]}
    assert inversions["null-text"] == ["sd14"]
    assert inversions["ddim"] == []
    assert set(body["parameters"]) == {field.name for field in dataclasses.fields(EditConfig)}
    assert all(each["description"] for each in body["parameters"].values())
    steps = body["parameters"]["steps"]
    assert (steps["type"], steps["minimum"], steps["maximum"]) == ("integer", 2, 250)
    same = client.get("/v1/methods", headers={"If-None-Match": response.headers["etag"]})
    assert same.status_code == 304


def test_what_it_lists_is_what_the_form_takes(client: httpx.Client, form: Form) -> None:
    for name, schema in client.get("/v1/methods").json()["parameters"].items():
        if schema.get("type") in {"integer", "number"} and "maximum" in schema:
            form.data = {**form.data, name: str(schema["maximum"] + 1)}
            assert name in {error["field"] for error in form.send(client).json()["errors"]}, name
