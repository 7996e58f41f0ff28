"""Methods over HTTP."""

from __future__ import annotations

import dataclasses

import httpx

from magedit.config import EditConfig
from magedit.methods.registry import METHODS
from tests.service.conftest import Announce, Form


def test_methods_with_their_models_and_parameters(client: httpx.Client, announce: Announce) -> None:
    announce(name="sd14", methods=("p2p",), inversions=("direct", "null-text"))
    announce(name="away", ttl_s=-1)
    response = client.get("/v1/methods")
    body = response.json()
    methods = {each["name"]: each for each in body["methods"]}
    assert set(methods) == set(METHODS)
    told = {name for name, method in methods.items() if method["takes_instruction"]}
    assert told == {"instruct-pix2pix", "magicbrush"}
    assert {name: each["models"] for name, each in methods.items() if each["models"]} == {
        "mag-edit": ["demo"],
        "p2p": ["demo", "sd14"],
    }
    inversions = {each["name"]: each["models"] for each in body["inversions"]}
    assert inversions["null-text"] == ["sd14"]
    assert inversions["ddim"] == []
    assert set(body["parameters"]) == {field.name for field in dataclasses.fields(EditConfig)}
    assert all(each["description"] for each in body["parameters"].values())
    steps = body["parameters"]["steps"]
    assert (steps["type"], steps["minimum"], steps["maximum"]) == ("integer", 2, 250)
    same = client.get("/v1/methods", headers={"If-None-Match": response.headers["etag"]})
    assert same.status_code == 304


def test_each_method_lists_its_facts_requirements_and_cost(client: httpx.Client) -> None:
    body = client.get("/v1/methods").json()
    methods = {each["name"]: each for each in body["methods"]}
    guided, blended = methods["mag-edit"], methods["blended-latent"]
    assert guided["papers"] == [{"title": "MAG-Edit", "url": "https://arxiv.org/abs/2312.11396"}]
    assert {"constraint", "max_iterations", "cross_replace"} <= set(guided["parameters"]) <= set(body["parameters"])
    assert guided["inputs"] == ["image", "mask", "source_prompt", "target_prompt", "words"]
    assert (blended["inputs"], blended["inversions"]) == (["image", "mask", "target_prompt"], [])
    # 50 to invert and 50 to sample; three quarters of 50.
    assert (methods["p2p"]["passes"]["forward"], blended["passes"]["forward"]) == (100, 38)
    assert guided["passes"]["whole"] > methods["p2p"]["passes"]["whole"] > blended["passes"]["whole"]
    inversions = {each["name"]: each for each in body["inversions"]}
    assert inversions["direct"]["passes"]["whole"] == 50 < inversions["null-text"]["passes"]["whole"]
    assert set(inversions["null-text"]["parameters"]) >= {"steps", "null_text_iterations"}


def test_listed_parameters_match_the_form(client: httpx.Client, form: Form) -> None:
    for name, schema in client.get("/v1/methods").json()["parameters"].items():
        if schema.get("type") in {"integer", "number"} and "maximum" in schema:
            form.data = {**form.data, name: str(schema["maximum"] + 1)}
            assert name in {error["field"] for error in form.send(client).json()["errors"]}, name
