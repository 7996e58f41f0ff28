"""The settings: four in plain words, the rest grouped, to be searched, marked and reset."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from magedit.inversion.registry import INVERSIONS
from magedit.methods.registry import METHODS
from tests.service.page.conftest import WIDE, visiting


@pytest.fixture
def page(browser: Browser, client: httpx.Client) -> Iterator[Page]:
    """The page with the advanced settings open."""
    with visiting(browser, str(client.base_url), **WIDE) as page:
        page.click("#advanced summary")
        expect(page.locator(".group").first).to_be_visible()
        yield page


def test_four_settings_are_basic_and_others_grouped_by_method(page: Page) -> None:
    expect(page.locator("#plain label")).to_have_text(["Quality or speed", "Strength", "Variations", "Seed"])
    expect(page.locator(".group h4").first).to_have_text("The edit as a whole")
    for card in METHODS.values():
        readers = {
            name: [each.name for each in METHODS.values() if name in each.parameters] for name in card.parameters
        }
        own = page.locator(f"section[aria-label='Method {card.name}'] [data-field]")
        alone = {name for name, names in readers.items() if names == [card.name]} - {"strength", "seed", "n", "preset"}
        # The page draws them once it has the methods.
        expect(own).to_have_count(len(alone))
        assert {each.get_attribute("data-field") for each in own.all()} == alone
    for inversion in INVERSIONS.values():
        if inversion.parameters and not any(
            set(inversion.parameters) & set(card.parameters) for card in METHODS.values()
        ):
            expect(page.locator(f"section[aria-label*='{inversion.name}'] [data-field]").first).to_be_visible()


def test_settings_are_searched_by_name_and_description(page: Page) -> None:
    shown = page.locator(".group .field:visible")
    page.fill("#find-setting", "null text iter")
    expect(shown).to_have_count(1)
    expect(shown).to_have_attribute("data-field", "null_text_iterations")
    page.fill("#find-setting", "JPEG")
    expect(page.locator("[data-field=output_format]")).to_be_visible()
    page.fill("#find-setting", "no such thing")
    expect(shown).to_have_count(0)
    expect(page.locator("#no-setting")).to_be_visible()


def test_changed_settings_are_marked_and_reset(page: Page) -> None:
    steps, seed = page.locator("[data-field=steps]"), page.locator("[data-field=seed]")
    expect(page.locator(".changed")).to_have_count(0)
    page.fill("#field-steps", "12")
    page.fill("#field-guidance_scale", "5")
    page.get_by_role("button", name="Random seed").click()
    expect(page.locator(".changed")).to_have_count(3)
    assert int(page.input_value("#field-seed")) > 0
    expect(page.locator("#changed-count")).to_have_text("2 changed")
    steps.get_by_role("button", name="Reset Steps").click()
    expect(page.locator("#field-steps")).to_have_value("")
    expect(page.locator("#field-steps")).to_be_focused()
    page.click("#reset-all")
    # As `steps`: the preset decides.
    expect(page.locator("#field-guidance_scale")).to_have_value("")
    expect(page.locator("#field-guidance_scale")).to_have_attribute("placeholder", "preset default (1-30)")
    # The plain ones are reset one by one.
    expect(page.locator(".changed")).to_have_count(1)
    seed.get_by_role("button", name="Reset Seed").click()
    expect(page.locator(".changed")).to_have_count(0)


def test_resolved_defaults_are_shown(page: Page) -> None:
    expect(page.locator("#field-steps")).to_have_attribute("placeholder", "preset default (2-250)")
    page.fill("#source_prompt", "a room with a green carpet")
    page.fill("#target_prompt", "a room with a purple carpet")
    expect(page.locator("#field-steps")).to_have_attribute("placeholder", "preset default 50 (2-250)")
    expect(page.locator("#field-guidance_scale")).to_have_attribute("placeholder", "preset default 7.5 (1-30)")
    expect(page.locator("[data-field=strength] output")).to_have_text("default (0.63)")
    page.locator("#field-method").select_option("p2p")
    expect(page.locator("[data-field=guided_from]")).to_contain_text("Not used by p2p.")
    expect(page.locator("[data-field=cross_replace]")).not_to_contain_text("Not used")
    page.fill("#target_prompt", "a room " * 40)
    expect(page.locator("[data-field=target_prompt] .error")).to_have_text("Too long: 80 of 10 tokens")
