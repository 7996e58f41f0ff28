"""`/docs`: the contract to read and to try."""

from __future__ import annotations

import httpx
from playwright.sync_api import Browser, FilePayload, Locator, expect

from tests.service.conftest import Form, mask, picture
from tests.service.page.conftest import TIMEOUT_MS, WIDE


def file(content: bytes) -> FilePayload:
    return {"name": "a.png", "mimeType": "image/png", "buffer": content}


def test_edit_can_be_sent_from_the_api_docs(browser: Browser, client: httpx.Client, form: Form) -> None:
    errors: list[str] = []
    with browser.new_context(base_url=str(client.base_url), **WIDE) as visitor:
        visitor.set_default_timeout(TIMEOUT_MS)
        page = visitor.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto("/docs")
        operation = page.locator("#operations-edits-create_edit")
        operation.locator(".opblock-summary-control").click()
        operation.get_by_role("button", name="Try it out").click()

        def field(name: str) -> Locator:
            return operation.locator(f"tr[data-property-name={name}]")

        # Whatever stands in a field is sent.
        filled = "all => all.filter((each) => each.value !== '' || each.checked).map((each) => each.outerHTML)"
        assert operation.locator("tr[data-property-name]").locator("input, select, textarea").evaluate_all(filled) == []
        expect(field("image_guidance_scale")).to_contain_text("Default: 1.5.")
        assert field("regions").locator("input[type=text]").count() == 1

        field("image").locator("input[type=file]").set_input_files(file(picture()))
        field("mask").get_by_role("button").click()
        field("mask").locator("input[type=file]").set_input_files(file(mask()))
        for name in ("source_prompt", "target_prompt"):
            field(name).locator("input").fill(form.data[name])
        operation.get_by_role("button", name="Execute").click()
        expect(operation.locator(".live-responses-table .response-col_status").nth(1)).to_contain_text("202")
    assert errors == []
    (tried,) = client.get("/v1/edits").json()["edits"]
    plain = form.send(client).json()
    assert tried["request"] == plain["request"]
    assert (tried["deadline_at"], tried["webhook_url"]) == (None, None)
