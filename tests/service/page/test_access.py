"""The page for those who cannot see or point, on narrow screens, in the dark, and behind a key."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from jobs.api_keys import ApiKeys
from jobs.connection import connect
from jobs.settings import Settings
from tests.service.conftest import serving
from tests.service.page.conftest import serious, visiting

PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
WIDE: dict[str, Any] = {"viewport": {"width": 1300, "height": 900}}


@pytest.mark.parametrize(("screen", "scheme"), [(PHONE, "dark"), (WIDE, "light")], ids=["phone", "wide"])
def test_nothing_stands_in_the_way(browser: Browser, client: httpx.Client, screen: dict[str, Any], scheme: str) -> None:
    with visiting(browser, str(client.base_url), color_scheme=scheme, **screen) as page:
        expect(page.locator(".preset")).to_have_count(3)
        assert serious(page) == []
        page.click(".preset:has-text('lamp')")
        page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        page.get_by_label("Words of region 1").fill("piano")
        page.click("#submit")
        expect(page.locator(".error")).to_have_count(1)
        assert serious(page) == []
        # Nothing is wider than the screen.
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_the_whole_page_by_keyboard(browser: Browser, client: httpx.Client) -> None:
    with visiting(browser, str(client.base_url), **WIDE) as page:
        expect(page.locator(".preset")).to_have_count(3)
        seen = []
        for _ in range(12):
            page.keyboard.press("Tab")
            seen.append(page.evaluate("document.activeElement.textContent || document.activeElement.id"))
            if seen[-1] == "carpet":
                page.keyboard.press("Enter")
                break
        assert seen[0] == "To the prompts"
        expect(page.locator("#stage")).to_be_focused()


def test_a_key_is_asked_for(browser: Browser, settings: Settings) -> None:
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
