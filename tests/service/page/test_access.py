"""The page for those who cannot see or point, on narrow screens, in the dark, and behind a key."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from jobs.connection import connect
from jobs.settings import Settings
from jobs.tenants.api_keys import ApiKeys
from magedit.demo.named import DEMO_EDITS
from tests.service.conftest import Announce, Form, serving
from tests.service.page.conftest import PHONE, WIDE, serious, visiting


@pytest.mark.parametrize(("screen", "scheme"), [(PHONE, "dark"), (WIDE, "light")], ids=["phone", "wide"])
def test_page_has_no_accessibility_violations(
    browser: Browser, client: httpx.Client, screen: dict[str, Any], scheme: str
) -> None:
    with visiting(browser, str(client.base_url), color_scheme=scheme, **screen) as page:
        expect(page.locator(".preset")).to_have_count(len(DEMO_EDITS))
        assert serious(page) == []
        page.click(".preset:has-text('lamp')")
        expect(page.locator("#target_prompt")).not_to_have_value("")
        page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        page.get_by_label("Words to apply in region 1").fill("piano")
        page.click("#submit")
        expect(page.locator(".error")).to_have_count(1)
        assert serious(page) == []
        # Nothing is wider than the screen.
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_page_works_by_keyboard(browser: Browser, client: httpx.Client) -> None:
    with visiting(browser, str(client.base_url), **WIDE) as page:
        expect(page.locator(".preset")).to_have_count(len(DEMO_EDITS))
        seen = []
        for _ in range(12):
            page.keyboard.press("Tab")
            seen.append(page.evaluate("document.activeElement.textContent || document.activeElement.id"))
            if seen[-1] == "carpet":
                page.keyboard.press("Enter")
                break
        assert seen[0] == "Skip to the descriptions"
        expect(page.locator("#stage")).to_be_focused()


def test_page_asks_for_an_api_key(browser: Browser, settings: Settings) -> None:
    with connect(settings) as redis:
        _, key = ApiKeys(redis).create("acme")
    with (
        serving(settings.model_copy(update={"auth": "keys"})) as client,
        visiting(browser, str(client.base_url), **WIDE) as page,
    ):
        field = page.get_by_label("API key")
        expect(field).to_be_focused()
        field.fill("mge_wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#key-why")).to_contain_text("unknown")
        field.fill(key)
        page.keyboard.press("Enter")
        expect(page.locator("#none")).to_be_visible()
        expect(page.locator("#key")).to_be_hidden()
        page.click("#key-forget")
        expect(field).to_be_visible()


def test_another_key_shows_only_its_own_edits(
    browser: Browser, settings: Settings, announce: Announce, form: Form
) -> None:
    announce()
    with connect(settings) as redis:
        keys = [ApiKeys(redis).create(tenant)[1] for tenant in ("acme", "other")]
    with (
        serving(settings.model_copy(update={"auth": "keys"})) as client,
        visiting(browser, str(client.base_url), **WIDE) as page,
    ):

        def use(key: str) -> None:
            page.get_by_label("API key").fill(key)
            page.keyboard.press("Enter")

        edits, outcome = page.locator("#edits > li"), page.locator("#progress")
        assert form.send(client, {"Authorization": f"Bearer {keys[0]}"}).status_code == 202
        use(keys[0])
        edits.locator(".entry").click()
        expect(outcome).to_be_visible()
        page.click("#key-forget")
        expect(outcome).to_be_hidden()
        expect(edits).to_have_count(0)
        use(keys[1])
        expect(page.locator("#none")).to_be_visible()
        expect(outcome).to_be_hidden()
        page.click("#key-forget")
        # What was shown is taken up again.
        use(keys[0])
        expect(outcome).to_be_visible()
        expect(edits).to_have_count(1)


def test_api_docs_load_nothing_from_other_hosts(browser: Browser, client: httpx.Client) -> None:
    with visiting(browser, str(client.base_url), **WIDE) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.get_by_role("link", name="API").click()
        expect(page.locator(".opblock").first).to_be_visible()
        page.get_by_text("/v1/models").first.click()
        expect(page.get_by_role("button", name="Try it out")).to_be_visible()
        assert [url for url in asked if not url.startswith((str(client.base_url), "data:", "blob:"))] == []
