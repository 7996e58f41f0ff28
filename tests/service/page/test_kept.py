"""What the browser keeps: drafts, past edits with everything that was sent, names, saved settings."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from magedit.measures.report import EditMeasures, EditWarning
from tests.service.conftest import Form, WorkerSide, picture
from tests.service.page.conftest import WIDE, is_submission, visiting
from tests.service.page.test_masks import SIZE, drag, load
from tests.service.page.test_watching import finish

SOURCE, TARGET = "a room with a green carpet", "a room with a purple carpet"


@pytest.fixture
def page(browser: Browser, client: httpx.Client) -> Iterator[Page]:
    """The page with nothing in it."""
    with visiting(browser, str(client.base_url), **WIDE, permissions=["clipboard-read", "clipboard-write"]) as page:
        yield page


def fill(page: Page) -> None:
    """A picture, two regions with words, prompts and settings, all kept as a draft."""
    load(page, picture(SIZE))
    page.check("[value=box]", force=True)
    drag(page, (20, 20), (80, 80))
    page.get_by_label("Words to apply in region 1").fill("purple")
    page.click("#region-add")
    drag(page, (100, 100), (150, 140))
    page.get_by_label("Words to apply in region 2").fill("carpet")
    page.fill("#source_prompt", SOURCE)
    page.fill("#target_prompt", TARGET)
    page.fill("#field-seed", "7")
    page.locator("#field-strength").fill("0.5")
    page.select_option("#field-preset", "fast")
    expect(page.locator("body")).to_have_attribute("data-draft", "kept")


def assert_filled(page: Page) -> None:
    """All of that is there."""
    expect(page.locator(".share")).to_have_text(["12.0 %", "6.7 %"])
    expect(page.get_by_label("Words to apply in region 1")).to_have_value("purple")
    expect(page.get_by_label("Words to apply in region 2")).to_have_value("carpet")
    expect(page.locator("#source_prompt")).to_have_value(SOURCE)
    expect(page.locator("#target_prompt")).to_have_value(TARGET)
    expect(page.locator("#field-seed")).to_have_value("7")
    expect(page.locator("#field-strength")).to_have_value("0.5")
    expect(page.locator("#field-preset")).to_have_value("fast")
    expect(page.locator("#source-name")).to_contain_text("200 × 150")


def send(page: Page) -> str:
    """Submit; the edit's id."""
    with page.expect_response(is_submission) as posted:
        page.click("#submit")
    assert posted.value.status == 202, posted.value.text()
    return str(posted.value.json()["id"])


def test_draft_survives_reload_crash_and_second_tab(page: Page) -> None:
    fill(page)
    page.reload()
    assert_filled(page)
    # A second tab begins empty, offers the draft, and leaves that of the first alone.
    visitor: BrowserContext = page.context
    second = visitor.new_page()
    second.goto("/")
    expect(second.locator("#drafts .preset")).to_have_count(1)
    load(second, picture((60, 40)))
    second.fill("#target_prompt", "a room")
    expect(second.locator("body")).to_have_attribute("data-draft", "kept")
    third = visitor.new_page()
    third.goto("/")
    third.locator("#drafts .preset", has_text=TARGET).click()
    assert_filled(third)
    page.reload()
    assert_filled(page)
    # All tabs are gone without a word; the next one goes on.
    third.close()
    second.close()
    page.goto("about:blank")
    last = visitor.new_page()
    last.goto("/")
    expect(last.locator("#source-name")).not_to_be_empty()


def test_past_edit_is_restored(page: Page, browser: Browser, client: httpx.Client, worker_side: WorkerSide) -> None:
    fill(page)
    edit_id = send(page)
    worker_side.succeed(worker_side.claim(edit_id))
    expect(page.locator("#view-result")).to_be_enabled()
    load(page, picture((60, 40)))
    page.fill("#target_prompt", "a room")
    page.click("#reset-all", force=True)
    page.fill("#field-seed", "1")
    entry = page.locator(f'#edits [data-id="{edit_id}"]')
    entry.get_by_role("button", name="Edit again").click()
    assert_filled(page)
    page.click("#undo")
    expect(page.locator("#source-name")).to_contain_text("60 × 40")
    # Another browser has neither picture nor masks; the service knows the rest.
    with visiting(browser, str(client.base_url), **WIDE) as other:
        other.locator(f'#edits [data-id="{edit_id}"]').get_by_role("button", name="Edit again").click()
        expect(other.locator("#target_prompt")).to_have_value(TARGET)
        expect(other.locator("#field-seed")).to_have_value("7")
        expect(other.locator("#field-strength")).to_have_value("0.5")
        expect(other.locator("#purpose")).to_contain_text("does not have the picture and the mask")


def test_edits_are_named_found_and_deleted(page: Page, client: httpx.Client, form: Form) -> None:
    ids = [str(form.send(client).json()["id"]) for _ in range(2)]
    client.put(f"/v1/edits/{ids[0]}/cancel")
    page.reload()
    edits = page.locator("#edits > li")
    expect(edits).to_have_count(2)
    edits.first.get_by_role("button", name="Name").click()
    page.get_by_role("textbox", name="Name", exact=True).fill("The good one")
    page.keyboard.press("Enter")
    expect(edits.first.locator("b")).to_have_text("The good one")
    page.reload()
    expect(edits.first.locator("b")).to_have_text("The good one")
    page.fill("#find-edit", "good")
    expect(edits.nth(0)).to_be_visible()
    expect(edits.nth(1)).to_be_hidden()
    page.fill("#find-edit", "nothing like it")
    expect(page.locator("#none")).to_have_text("No edit matches.")
    page.fill("#find-edit", "")
    page.select_option("#find-state", "canceled")
    expect(edits).to_have_count(1)
    edits.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Keep").click()
    edits.get_by_role("button", name="Delete").click()
    edits.get_by_role("button", name="Delete", exact=True).click()
    expect(edits).to_have_count(0)
    assert client.get(f"/v1/edits/{ids[0]}").status_code == 404
    assert client.get(f"/v1/edits/{ids[1]}").status_code == 200


def test_settings_are_saved_by_name(page: Page) -> None:
    page.select_option("#field-preset", "fast")
    page.fill("#field-n", "4")
    page.fill("#recipe-name", "Drafts")
    page.click("#recipe-save")
    expect(page.locator("#recipe")).to_have_value("Drafts")
    page.reload()
    expect(page.locator("#field-n")).to_have_value("1")
    page.select_option("#recipe", "Drafts")
    expect(page.locator("#field-n")).to_have_value("4")
    expect(page.locator("#field-preset")).to_have_value("fast")
    page.click("#recipe-delete")
    expect(page.locator("#recipe")).to_be_hidden()


def test_results_are_copied_and_all_downloaded(
    page: Page, client: httpx.Client, form: Form, worker_side: WorkerSide, tmp_path: Path
) -> None:
    form.data["sweep"] = ["0.5", "1"]
    edit_id = str(form.send(client).json()["id"])
    finish(edit_id, worker_side)
    page.goto(f"/#edit={edit_id}")
    results = page.locator(".results button")
    expect(results).to_have_count(2)
    # The ratios as bars.
    expect(results.first.get_by_label("token ratio 0.50")).to_have_js_property("value", 0.5)
    expect(results.first.get_by_label("spatial ratio 0.25")).to_have_js_property("value", 0.25)
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.locator(".copied")).to_have_text("The result was copied.")
    kinds = "navigator.clipboard.read().then(([item]) => item.types)"
    assert page.evaluate(kinds) == ["image/png"]
    with page.expect_download() as download:
        page.get_by_role("button", name="Download all").click()
    download.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.namelist() == [f"{edit_id[-6:]}-result-{n}.png" for n in range(2)]
        assert Image.open(io.BytesIO(archive.read(archive.namelist()[1]))).size == (64, 48)


def test_chain_of_edits_is_shown_and_links_to_earlier_steps(
    page: Page, client: httpx.Client, form: Form, worker_side: WorkerSide
) -> None:
    first = str(form.send(client).json()["id"])
    worker_side.succeed(worker_side.claim(first))
    page.goto(f"/#edit={first}")
    page.get_by_role("button", name="Edit further").click()
    expect(page.locator("#view-mask")).to_have_attribute("aria-pressed", "true")
    page.check("[value=box]", force=True)
    drag(page, (10, 10), (40, 40), size=(64, 48))
    page.fill("#target_prompt", "a purple room with a purple carpet")
    second = send(page)
    worker_side.succeed(worker_side.claim(second))
    steps = page.locator(".chain li")
    expect(steps).to_have_text(["Step 1", "Step 2 (this one)"])
    expect(steps.first.locator("img")).to_have_js_property("complete", True)
    steps.first.get_by_role("link").click()
    expect(page.locator(".chain")).to_have_count(0)
    assert page.url.endswith(first)


def test_warnings_are_shown_in_plain_words(
    page: Page, client: httpx.Client, form: Form, worker_side: WorkerSide
) -> None:
    edit_id = str(form.send(client).json()["id"])
    claim = worker_side.claim(edit_id)
    worker_side.show(claim, 3)
    page.goto(f"/#edit={edit_id}")
    # What it looks like so far, in the place of the result.
    expect(page.locator("#tag-after")).to_have_text("preview, step 3 of 10")
    expect(page.locator("#after")).to_be_visible()
    stored = worker_side._store("some/key", "result-0.png", picture())
    warning = EditWarning(code="poor_reconstruction", message="14.0 dB through its VAE", field="model")
    worker_side.records.commit_success(claim, EditMeasures(), [stored], assessment=[warning])
    expect(page.locator("#finished .note")).to_contain_text("The model cannot redraw this area of your picture")
    expect(page.locator("#tag-after")).to_have_text("after")
