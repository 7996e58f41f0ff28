"""What the page says of the form, sends of it, and gives as code."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.conftest import wait_until
from tests.service.conftest import WORDS, Announce, picture
from tests.service.page.conftest import WIDE, is_submission, visiting
from tests.service.page.test_masks import SIZE, drag, load

SOURCE, TARGET = "a room with a green carpet", "a room with a purple carpet"


@pytest.fixture
def page(browser: Browser, client: httpx.Client) -> Iterator[Page]:
    """The page with a picture, a mask and prompts, and all panels open."""
    with visiting(browser, str(client.base_url), **WIDE, permissions=["clipboard-read", "clipboard-write"]) as page:
        load(page, picture(SIZE))
        page.check("[value=box]", force=True)
        drag(page, (20, 20), (80, 80))
        page.fill("#source_prompt", SOURCE)
        page.fill("#target_prompt", TARGET)
        page.evaluate("for (const each of document.querySelectorAll('#ask details')) each.open = true")
        expect(page.locator("#variants input").first).to_be_visible()
        yield page


def post(page: Page) -> int:
    """Submit; the status of the answer."""
    with page.expect_response(is_submission) as posted:
        page.click("#submit")
    return posted.value.status


def test_words_are_needed_where_the_service_needs_them(page: Page) -> None:
    reading = page.locator("#reading-words li")
    page.fill("#target_prompt", "a room")
    expect(reading).to_have_text("Applied here: room")
    assert post(page) == 202
    page.fill("#source_prompt", "a carpet")
    page.fill("#target_prompt", "a carpet")
    expect(reading).to_have_text("Both descriptions are the same. Change the second one.")
    assert post(page) == 422
    page.locator("#field-method").select_option("p2p")
    expect(reading).to_have_text("No words are needed with this method.")
    assert post(page) == 202
    page.get_by_label("Words to apply in region 1").fill("carpet")
    expect(reading).to_have_text("Words, without guidance: carpet")


def test_an_invalid_number_is_reported(page: Page) -> None:
    page.locator("#field-steps").press_sequentially("1e")
    page.click("#submit")
    expect(page.locator("[data-field=steps] .error")).to_have_text("This is not a number.")
    expect(page.locator("#field-steps")).to_be_focused()
    page.fill("#field-steps", "12")
    expect(page.locator("[data-field=steps] .error")).to_have_count(0)
    assert post(page) == 202


def test_lost_response_creates_no_second_edit(page: Page, client: httpx.Client) -> None:
    def lose(route: Route) -> None:
        if route.request.method != "POST":
            route.continue_()
            return
        route.fetch()
        route.abort()

    def count() -> int:
        return len(client.get("/v1/edits").json()["edits"])

    page.route("**/v1/edits", lose)
    page.click("#submit")
    expect(page.locator("#banner")).to_contain_text("There was no answer")
    assert count() == 1
    page.unroute("**/v1/edits")
    assert post(page) == 202
    expect(page.locator("#progress")).to_be_visible()
    assert count() == 1
    # The same again after an answer is another edit.
    expect(page.locator("#submit")).not_to_have_attribute("aria-disabled", "true")
    assert post(page) == 202
    assert count() == 2


def test_generated_code_matches_the_form(page: Page) -> None:
    curl, python = page.locator("#curl"), page.locator("#python")
    page.fill("#target_prompt", "a purple room")
    for code in (curl, python):
        expect(code).to_contain_text("a purple room")
    page.get_by_label("Words to apply in region 1").fill("purple")
    page.locator("#field-method").select_option("p2p")
    page.fill("#field-steps", "12")
    page.click("#copy-curl")
    expect(page.locator("#announcer")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == curl.text_content()
    for part in ("-F image=@image.png", "-F mask=@mask-0.png", "'words=purple'", "'method=p2p'", "'steps=12'"):
        assert part in copied
    assert f"'source_prompt={SOURCE}'" in copied
    page.click("#copy-python")
    wait_until(lambda: "import httpx" in page.evaluate("navigator.clipboard.readText()"), what="the copied program")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == python.text_content()
    compile(copied, "edit.py", "exec")
    for part in ('("mask", open("mask-0.png", "rb"))', '"words": "purple"', '"method": "p2p"', '"steps": "12"'):
        assert part in copied
    page.click("#region-add")
    expect(page.locator("#mask-downloads button")).to_have_text(["Save mask-0.png", "Save mask-1.png"])


def test_comparison_sends_each_method_only_its_parameters(page: Page, client: httpx.Client) -> None:
    page.fill("#field-sweep", "0.2, 0.4")
    page.fill("#field-skip_fraction", "0.5")
    page.fill("#field-steps", "12")
    for variant in ("mag-edit token", "mag-edit spatial"):
        page.get_by_label(variant).uncheck()
    page.click("#compare")
    expect(page.locator("#grid tbody tr")).to_have_count(1)
    (edit,) = client.get("/v1/edits").json()["edits"]
    config = edit["request"]["config"]
    assert (config["method"], config["sweep"], config["steps"]) == ("p2p", [], 12)
    # The address leads to the comparison, then to the edit that has nothing to do with it.
    assert page.url.endswith(f"#compare={edit['id']}")
    page.fill("#field-skip_fraction", "")
    assert post(page) == 202
    expect(page.locator("#progress")).to_be_visible()
    assert "#edit=" in page.url


def test_a_model_that_edits_by_instruction_needs_no_source_prompt(
    browser: Browser, shared_client: httpx.Client, announce: Announce
) -> None:
    announce()
    announce(name="instruct", methods=("instruct-pix2pix",), inversions=(), vocabulary=(*WORDS, "make"))
    with visiting(browser, str(shared_client.base_url), **WIDE) as page:
        load(page, picture(SIZE))
        page.check("[value=box]", force=True)
        drag(page, (20, 20), (80, 80))
        page.evaluate("for (const each of document.querySelectorAll('#ask details')) each.open = true")
        page.fill("#target_prompt", "make a carpet green")
        expect(page.locator("#reading-text .unknown")).to_have_text("make")
        page.click("#submit")
        expect(page.locator("[data-field=source_prompt] .error")).to_have_text("Describe the picture as it is.")
        page.locator("#field-model").select_option("instruct")
        expect(page.locator("#source_prompt")).to_be_hidden()
        expect(page.get_by_label("Instruction", exact=True)).to_have_value("make a carpet green")
        expect(page.locator("#reading-text .unknown")).to_have_count(0)
        expect(page.locator("#reading-words li")).to_have_text("No words are needed with this method.")
        with page.expect_response(is_submission) as posted:
            page.click("#submit")
        assert posted.value.status == 202, posted.value.text()
        assert posted.value.json()["request"]["config"]["method"] == "instruct-pix2pix"


def test_new_worker_is_noticed(browser: Browser, shared_client: httpx.Client, announce: Announce) -> None:
    with visiting(browser, str(shared_client.base_url), **WIDE) as page:
        expect(page.locator("#status")).to_have_text("No worker is running for 'demo'")
        announce()
        expect(page.locator("#status")).to_have_text("Model: demo (cpu)")
