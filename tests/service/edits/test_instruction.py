"""Submissions by instruction and without masks, over real HTTP."""

from __future__ import annotations

import json

import httpx
import pytest

from jobs.settings import Settings
from tests.service.conftest import Announce, Form, assert_problem, serving
from tests.service.edits.kept import assert_nothing_kept, kept_masks


@pytest.fixture
def finding(client: httpx.Client, announce: Announce) -> httpx.Client:
    """A client of a front end whose model finds things in every way."""
    announce(finds_by=("points", "box", "words"))
    return client


def test_a_mask_may_be_left_for_the_worker_to_find(finding: httpx.Client, form: Form, settings: Settings) -> None:
    shapes = [{"points": [[20, 15, 1]], "grow": 2}, {"upload": 0}, {"words": "left carpet", "invert": True}]
    form.data["mask_shapes"] = json.dumps(shapes)
    response = form.send(finding)
    assert response.status_code == 202, response.text
    told = response.json()["request"]["find"]
    assert [each and (each["points"], each["words"], each["grow"], each["invert"]) for each in told] == [
        ([[20, 15, 1]], None, 2, False),
        None,
        (None, "left carpet", 0, True),
    ]
    (kept,) = kept_masks(settings, response.json()["id"])
    assert kept.getbbox() == (10, 10, 30, 30)


INSTRUCTED = {"instruction": "make the left carpet purple"}


def test_an_instruction_suffices_for_an_edit(finding: httpx.Client, form: Form, settings: Settings) -> None:
    form.files, form.data = form.files[:1], dict(INSTRUCTED)
    response = form.send(finding)
    assert response.status_code == 202, response.text
    request = response.json()["request"]
    assert (request["source_prompt"], request["target_prompt"]) == ("a carpet", "a purple carpet")
    assert [each["words"] for each in request["find"]] == ["left carpet"]
    read = request["instruction"]
    assert (read["text"], read["phrase"], read["read_by"]) == (INSTRUCTED["instruction"], "left carpet", "rules")
    assert kept_masks(settings, response.json()["id"]) == []


def test_with_an_instruction_all_may_be_given_that_follows_from_it(finding: httpx.Client, form: Form) -> None:
    form.data |= INSTRUCTED | {"target_prompt": "a purple room", "words": "room"}
    request = form.send(finding).json()["request"]
    assert (request["source_prompt"], request["target_prompt"]) == ("a room with a green carpet", "a purple room")
    assert (request["find"], request["regions"][0]["words"]) == ([], ["room"])
    form.files = form.files[:1]
    form.data["mask_shapes"] = json.dumps([{"words": "room"}])
    request = form.send(finding).json()["request"]
    assert [each["words"] for each in request["find"]] == ["room"]


@pytest.mark.parametrize(
    ("data", "code", "field"),
    [
        ({"instruction": "make it purple"}, "instruction_not_understood", "instruction"),
        ({"instruction": "add a carpet"}, "invalid_request", "mask"),
        ({"instruction": "make the sofa purple"}, "prompt_not_supported", "source_prompt"),
        (
            {"instruction": "make the carpet green", "source_prompt": "a green carpet with a purple carpet"},
            "several_found",
            "instruction",
        ),
        ({"mask_shapes": '[{"points": [[64, 0, 1]]}]'}, "point_outside_image", "mask_shapes.0.points.0"),
        ({"mask_shapes": '[{"points": [[1, 1, 0]]}]'}, "invalid_request", "mask_shapes.0.points"),
        ({"mask_shapes": '[{"points": [[1, 1, 2]]}]'}, "invalid_request", "mask_shapes.0.points.0.2"),
        ({"mask_shapes": '[{"words": " "}]'}, "invalid_request", "mask_shapes.0.words"),
        ({"mask_shapes": '[{"words": "sofa"}]'}, "prompt_not_supported", "mask_shapes.0.words"),
        ({"mask_id": "picture"}, "invalid_request", "mask_id.0"),
        ({"mask_shapes": '[{"points": [[1, 1, 1], 1]}]'}, "invalid_request", "mask_shapes.0.points.1"),
        ({"mask_shapes": '[{"words": "carpet", "feather": 3}]'}, "not_together", "mask_shapes.0.feather"),
    ],
)
def test_unclear_instructions_and_missing_things_are_rejected_by_field(
    finding: httpx.Client, form: Form, settings: Settings, data: dict[str, str], code: str, field: str
) -> None:
    form.files = form.files[:1]
    form.data = data if "instruction" in data else form.data | data
    assert_problem(form.send(finding), 422, code, field)
    assert_nothing_kept(settings)


def test_a_model_without_finders_requires_masks(client: httpx.Client, form: Form, settings: Settings) -> None:
    form.files = form.files[:1]
    form.data["mask_shapes"] = '[{"words": "carpet"}]'
    assert_problem(form.send(client), 422, "no_finder", "mask_shapes.0.words")
    form.data = dict(INSTRUCTED)
    assert_problem(form.send(client), 422, "no_finder", "instruction")
    assert_nothing_kept(settings)


def test_an_unavailable_language_model_is_a_warning(settings: Settings, announce: Announce, form: Form) -> None:
    announce(finds_by=("words",))
    away = settings.model_copy(update={"instruction_url": "http://127.0.0.1:1/v1"})
    form.files, form.data = form.files[:1], dict(INSTRUCTED)
    with serving(away) as client:
        (warning,) = form.send(client).json()["warnings"]
        assert warning["code"] == "read_by_rules"
        form.data = {"instruction": "mach den Teppich lila"}
        assert_problem(form.send(client), 503, "language_model_unavailable", "instruction")
