"""From opening the page to the first result: how many actions, by mouse, by keyboard, with a finger."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from tests.service.conftest import Announce, WorkerSide, picture
from tests.service.page.conftest import PHONE, WIDE, is_submission, serious, visiting
from tests.service.page.test_masks import SIZE, drag, touch

OWN: FilePayload = {"name": "room.png", "mimeType": "image/png", "buffer": picture(SIZE)}
SOURCE, TARGET = "a room with a green carpet", "a room with a purple carpet"


@pytest.fixture
def service(shared_client: httpx.Client, announce: Announce) -> str:
    """The address of a service whose model knows every word."""
    announce(vocabulary=None, max_prompt_tokens=77)
    return str(shared_client.base_url)


def see_the_result(page: Page, worker_side: WorkerSide, edit: dict[str, Any]) -> None:
    """A worker finishes the edit: the page shows its result by itself."""
    worker_side.succeed(worker_side.claim(edit["id"]))
    expect(page.locator("#after")).to_be_in_viewport()
    expect(page.locator("#after")).to_have_js_property("complete", True)


def test_demo_scene_takes_two_clicks(browser: Browser, service: str, worker_side: WorkerSide) -> None:
    with visiting(browser, service, **WIDE) as page:
        page.click(".preset:has-text('carpet')")
        expect(page.locator("#target_prompt")).not_to_have_value("")
        with page.expect_response(is_submission) as posted:
            page.click("#submit")
        see_the_result(page, worker_side, posted.value.json())


def test_own_picture_takes_three_actions_and_two_descriptions(
    browser: Browser, service: str, worker_side: WorkerSide
) -> None:
    with visiting(browser, service, **WIDE) as page:
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Choose a picture").click()
        chooser.value.set_files(OWN)
        expect(page.locator("#status")).to_contain_text("Model")
        drag(page, (60, 60), (120, 100))
        page.fill("#source_prompt", SOURCE)
        page.fill("#target_prompt", TARGET)
        with page.expect_response(is_submission) as posted:
            page.click("#submit")
        see_the_result(page, worker_side, posted.value.json())
        assert serious(page) == []


def test_an_own_picture_by_keyboard(browser: Browser, service: str, worker_side: WorkerSide) -> None:
    with visiting(browser, service, **WIDE) as page:
        # The dialog of files is the system's.
        page.set_input_files("#image-file", OWN)
        expect(page.locator("#stage")).to_be_visible()

        def to(what: str) -> None:
            for _ in range(60):
                page.keyboard.press("Tab")
                if page.evaluate(f"document.activeElement.id === '{what}'"):
                    return
            raise AssertionError(f"Tab does not lead to {what}")

        to("stage")
        for key in ("Space", *["ArrowRight"] * 6, "Space"):
            page.keyboard.press(key)
        expect(page.locator(".share")).not_to_have_text("nothing painted")
        to("source_prompt")
        page.keyboard.type(SOURCE)
        to("target_prompt")
        page.keyboard.type(TARGET)
        to("submit")
        with page.expect_response(is_submission) as posted:
            page.keyboard.press("Enter")
        see_the_result(page, worker_side, posted.value.json())


def test_own_picture_by_touch(browser: Browser, service: str, worker_side: WorkerSide) -> None:
    with visiting(browser, service, color_scheme="dark", **PHONE) as page:
        page.set_input_files("#image-file", OWN)
        expect(page.locator("#stage")).to_be_in_viewport(ratio=1)
        expect(page.locator("#status")).to_contain_text("Model")
        touch(page, (60, 60), (120, 100), size=SIZE)
        page.fill("#source_prompt", SOURCE)
        page.fill("#target_prompt", TARGET)
        with page.expect_response(is_submission) as posted:
            page.locator("#submit").tap()
        # The stage is in view again while it runs.
        expect(page.locator("#stage")).to_be_in_viewport(ratio=0.9)
        see_the_result(page, worker_side, posted.value.json())
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert serious(page) == []
