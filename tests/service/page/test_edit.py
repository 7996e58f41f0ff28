"""From a picture to its edit, to the edit of that, and what happens when it does not go on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from cli.processes.stack import Stack
from tests.service.page.conftest import PHONE, TIMEOUT_MS, serious, visiting
from tests.service.page.test_masks import drag, touch

LONG = {"steps": "250", "max_iterations": "100", "gradient_tolerance": "0"}
"""Does not end by itself while a test runs."""
QUICK = {"steps": "4", "max_iterations": "1"}


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    """The page with a scene of the demo in it."""
    with visiting(browser, stack.url, viewport={"width": 1300, "height": 900}) as page:
        page.click(".preset:has-text('carpet')")
        expect(page.locator("#target_prompt")).not_to_have_value("")
        yield page


def set_parameters(page: Page, values: dict[str, str]) -> None:
    """Open the settings and fill in these."""
    page.evaluate("for (const each of document.querySelectorAll('#settings details')) each.open = true")
    for name, value in values.items():
        page.locator(f"#field-{name}").fill(value)


def submit(page: Page) -> None:
    """Submit, and wait for the acceptance."""
    page.click("#submit")
    expect(page.locator("#progress")).to_be_visible()


def shown_id(page: Page) -> str:
    """The edit that the address leads to."""
    return page.url.rpartition("#edit=")[2]


def test_edit_then_edit_of_its_result(page: Page, tmp_path: Path) -> None:
    page.click("#clear")
    page.locator("#size").fill("20")
    drag(page, (40, 112), (90, 112), size=(128, 128))
    set_parameters(page, QUICK)
    submit(page)
    expect(page.locator("#progress-text")).to_have_text(re.compile("Waiting|Starting|Reading|Editing|step"))

    # The whole result, in the place of the picture; no word claims that it is a good one.
    slider = page.get_by_label("Before and after")
    slider.wait_for(timeout=TIMEOUT_MS)
    expect(slider).to_have_attribute("aria-valuetext", "0 % before, 100 % after")
    expect(page.locator("#tag-before")).to_be_hidden()
    for part in ("#editor", "#details", "#edits"):
        expect(page.locator(part)).not_to_contain_text(re.compile("success|succeeded|worked", re.IGNORECASE))
    page.locator("#stage").focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "10 % before, 90 % after")
    drag(page, (20, 64), (102, 64), size=(128, 128))
    assert 78 <= int(slider.input_value()) <= 82
    before = page.locator("#before")
    clipped = "image => getComputedStyle(image).clipPath"
    assert before.evaluate(clipped) != "none"
    page.keyboard.down("c")
    assert before.evaluate(clipped) == "none"
    page.keyboard.up("c")
    assert before.evaluate(clipped) != "none"
    page.get_by_role("button", name="Side by side").click()
    expect(page.locator("#aside")).to_be_visible()
    page.get_by_role("button", name="Difference").click()
    expect(page.locator("#aside")).to_be_hidden()
    expect(page.locator("#apart-text")).to_contain_text("of the pixels changed")
    page.get_by_role("button", name="Difference").click()
    for name in ("attention-before", "attention-after", "attention-steps"):
        image = page.locator(f"img[data-name^={name}]")
        image.scroll_into_view_if_needed()
        expect(image).to_have_js_property("complete", True)
        assert image.evaluate("image => image.naturalWidth") > 0
    expect(page.locator(".measures")).to_contain_text("token ratio")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    download.value.save_as(tmp_path / "result.png")
    with Image.open(tmp_path / "result.png") as result:
        assert result.size == (128, 128)
    # A picture, not a canvas: a right-click offers to copy and to save it.
    assert page.locator("#after").evaluate("image => [image.localName, image.naturalWidth]") == ["img", 128]
    # Token and spatial ratio, each before and after every step's updates.
    lines = page.locator(".plot polyline")
    expect(lines).to_have_count(4)
    assert all(len((line.get_attribute("points") or "").split()) > 1 for line in lines.all())
    assert serious(page) == []
    first = shown_id(page)

    page.get_by_role("button", name="Edit further").click()
    expect(page.locator("#source-name")).to_contain_text("Result of")
    page.click("#invert")
    page.fill("#target_prompt", page.input_value("#source_prompt").replace("a white pot", "a yellow pot"))
    page.locator("#field-method").select_option("p2p")
    expect(page.locator("#reading mark")).to_have_text("yellow")
    submit(page)
    chain = page.locator(".chain li")
    expect(chain).to_have_count(2, timeout=TIMEOUT_MS)
    second = shown_id(page)
    assert second != first
    for edit_id in (first, second):
        expect(page.locator(f'#edits [data-id="{edit_id}"]')).to_have_count(1)
    chain.first.get_by_role("link").click()
    expect(page.locator(".chain")).to_have_count(0)
    expect(page.locator("#edits [aria-current]")).to_have_count(1)


def test_edit_on_a_phone_in_dark_mode(browser: Browser, stack: Stack) -> None:
    with visiting(browser, stack.url, color_scheme="dark", **PHONE) as page:
        page.click(".preset:has-text('carpet')")
        expect(page.locator("#target_prompt")).not_to_have_value("")
        page.click("#clear")
        page.locator("#size").fill("20")
        touch(page, (40, 112), (90, 112), size=(128, 128))
        expect(page.locator(".share")).to_have_text(re.compile("[5-9][.].* %"))
        set_parameters(page, QUICK)
        submit(page)
        slider = page.get_by_label("Before and after")
        slider.scroll_into_view_if_needed(timeout=TIMEOUT_MS)
        touch(page, (100, 64), (13, 64), size=(128, 128))
        assert 5 <= int(slider.input_value()) <= 15
        expect(page.locator(".plot polyline")).to_have_count(4)
        assert serious(page) == []
        # Nothing is wider than the screen.
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_an_edit_is_canceled_while_it_runs(page: Page) -> None:
    set_parameters(page, LONG)
    submit(page)
    expect(page.locator("#progress-text")).to_contain_text("step", timeout=TIMEOUT_MS)
    page.click("#cancel")
    expect(page.locator("#finished .note")).to_have_text("This edit was canceled.", timeout=TIMEOUT_MS)
    expect(page.locator("#edits .state").first).to_have_text("Canceled")
    # The address leads back to it.
    page.reload()
    expect(page.locator("#finished .note")).to_have_text("This edit was canceled.")


def test_methods_and_strengths_are_compared(page: Page) -> None:
    set_parameters(page, QUICK)
    page.click("#comparing summary")
    page.fill("#strengths", "0.5, 2")
    page.click("#compare")
    expect(page.locator("[data-field=strengths] .error")).to_contain_text("numbers from 0 to 1")
    page.fill("#strengths", "0.5, 1")
    page.get_by_label("mag-edit spatial").uncheck()
    expect(page.locator("#compare-count")).to_have_text("2 edits, 3 results")
    page.click("#compare")
    cells = page.locator("#grid .cell")
    expect(cells).to_have_count(3)
    expect(page.locator("#grid thead th")).to_have_text(["strength 0.5", "strength 1"])
    assert serious(page) == []
    cells.nth(1).click()
    expect(page.locator(".results [aria-pressed=true]")).to_have_text("strength 1")
    page.reload()
    expect(cells).to_have_count(3)
    expect(page.locator("#compare-cancel")).to_be_hidden()


def test_a_comparison_is_canceled(page: Page) -> None:
    set_parameters(page, LONG)
    page.click("#comparing summary")
    page.get_by_label("p2p").uncheck()
    page.click("#compare")
    expect(page.locator("#grid .waiting")).to_have_count(2)
    page.click("#compare-cancel")
    expect(page.locator("#grid td p")).to_have_text(["This edit was canceled."] * 2)
    expect(page.locator("#compare-cancel")).to_be_hidden()


def test_errors_are_shown_at_their_fields(page: Page) -> None:
    def error(field: str) -> str:
        page.click("#submit")
        at = page.locator(f'[data-field="{field}"].invalid')
        expect(at.locator("[aria-invalid=true]")).to_be_focused()
        return at.locator(".error").text_content() or ""

    source, target = (page.input_value(f"#{name}_prompt") for name in ("source", "target"))
    page.fill("#target_prompt", "")
    assert error("target_prompt") == "Describe the picture after the edit."
    page.fill("#target_prompt", source.replace("red carpet", "crimson carpet"))
    expect(page.locator("#reading .unknown")).to_have_text("crimson")
    assert error("target_prompt") == "The model does not know: crimson"
    page.fill("#target_prompt", target)
    expect(page.locator(".error")).to_have_count(0)
    page.get_by_label("Words to apply in region 1").fill("red carpet")
    assert error("words") == "'red carpet' is not in the description after the edit"
    page.get_by_label("Words to apply in region 1").fill("")
    set_parameters(page, {"guided_fraction": "2"})
    page.evaluate("for (const each of document.querySelectorAll('#settings details')) each.open = false")
    assert error("guided_fraction") == "Use 1 or less."
    expect(page.locator("#field-guided_fraction")).to_be_in_viewport()
    page.fill("#field-guided_fraction", "0.5")
    page.click("#clear")
    assert "The mask is empty" in error("mask")
