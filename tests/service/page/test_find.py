"""Masks without painting: by a click, by words, where the model finds things."""

from __future__ import annotations

import json

import httpx
from playwright.sync_api import Browser, Page, expect

from jobs.settings import Settings
from tests.conftest import wait_until
from tests.service.conftest import SIZE, Announce, picture
from tests.service.page.conftest import WIDE, serious, visiting
from tests.service.page.test_masks import drag, load
from tests.service.routes.test_masks import find


def asked(client: httpx.Client, count: int) -> str:
    """Wait for the last of so many masks; its id."""
    masks: list[dict[str, str]] = []

    def there() -> bool:
        masks[:] = client.get("/v1/masks").json()["masks"]
        return len(masks) == count

    wait_until(there, what="the question")
    return masks[0]["id"]


def share(page: Page, pixels: int) -> None:
    """So much is selected."""
    expect(page.locator(".share")).to_have_text(f"{100 * pixels / (SIZE[0] * SIZE[1]):.1f} %")


def test_a_click_selects_a_thing(
    browser: Browser, client: httpx.Client, announce: Announce, settings: Settings
) -> None:
    announce(finds_by=("points", "words"))
    with visiting(browser, str(client.base_url), **WIDE) as page:
        load(page, picture(SIZE))
        # What is painted stays.
        page.check("[value=box]", force=True)
        drag(page, (50, 40), (60, 44), size=SIZE)
        share(page, 40)
        page.check("[value=select]", force=True)
        drag(page, (20, 20), size=SIZE)
        mask = asked(client, 1)
        find(settings, mask, (10, 10, 30, 30), (10, 10, 20, 20))
        share(page, 440)
        assert serious(page) == []
        page.get_by_role("button", name="Another one (1 of 2)").click()
        share(page, 140)
        # What does not belong to it, said by a second click.
        page.get_by_label("Not this").check()
        drag(page, (12, 12), size=SIZE)
        second = asked(client, 2)
        assert client.get(f"/v1/masks/{second}").json()["request"]["points"] == [[20, 20, 1], [12, 12, 0]]
        find(settings, second, (15, 15, 25, 27))
        share(page, 160)
        page.click("#undo")
        page.click("#undo")
        page.click("#undo")
        share(page, 40)


def test_words_select_a_thing(browser: Browser, client: httpx.Client, announce: Announce, settings: Settings) -> None:
    announce(finds_by=("words",))
    with visiting(browser, str(client.base_url), **WIDE) as page:
        load(page, picture(SIZE))
        page.check("[value=select]", force=True)
        expect(page.get_by_label("Not this")).to_be_hidden()
        page.locator("#stage").click()
        expect(page.get_by_text("finds things by words, not by clicks")).to_be_visible()
        expect(page.get_by_label("Words for a thing")).to_be_focused()
        page.get_by_label("Words for a thing").fill("carpet")
        page.keyboard.press("Enter")
        mask = asked(client, 1)
        assert json.loads(client.get(f"/v1/masks/{mask}").text)["request"]["words"] == "carpet"
        find(settings, mask, (0, 0, 16, 10))
        share(page, 160)


def test_model_without_finders_offers_no_select_tool(browser: Browser, client: httpx.Client) -> None:
    with visiting(browser, str(client.base_url), **WIDE) as page:
        load(page, picture(SIZE))
        expect(page.locator("#select-tool")).to_be_hidden()
        page.locator("#stage").press("s")
        expect(page.locator("[value=brush]")).to_be_checked()


def test_one_sentence_fills_in_the_descriptions_and_selects_the_thing(
    browser: Browser, client: httpx.Client, announce: Announce, settings: Settings
) -> None:
    announce(finds_by=("points", "words"))
    with visiting(browser, str(client.base_url), **WIDE) as page:
        load(page, picture(SIZE))
        sentence = page.get_by_label("Say it in one sentence")
        sentence.fill("make it purple")
        page.keyboard.press("Enter")
        expect(page.locator("[data-field=instruction] .error")).to_contain_text("names no thing, only 'it'")
        sentence.fill("make the left carpet purple")
        page.get_by_role("button", name="Fill in").click()
        expect(page.locator("#source_prompt")).to_have_value("a carpet")
        expect(page.locator("#target_prompt")).to_have_value("a purple carpet")
        mask = asked(client, 1)
        assert client.get(f"/v1/masks/{mask}").json()["request"]["words"] == "left carpet"
        find(settings, mask, (10, 10, 30, 30))
        share(page, 400)
        assert serious(page) == []
        page.click("#submit")
        wait_until(lambda: len(client.get("/v1/edits").json()["edits"]) == 1, what="the edit")
        (edit,) = client.get("/v1/edits").json()["edits"]
        assert edit["request"]["target_prompt"] == "a purple carpet"
        assert [region["words"] for region in edit["request"]["regions"]] == [["purple carpet"]]
