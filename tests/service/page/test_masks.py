"""Painting: what is painted is what the service gets."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from jobs.settings import Settings
from jobs.storage import ObjectStore, image_key, mask_key
from magedit.demo.named import demo_edit
from tests.service.conftest import encode, mask, picture
from tests.service.page.conftest import is_submission, visiting

SIZE = (200, 150)


@pytest.fixture
def page(browser: Browser, client: httpx.Client) -> Iterator[Page]:
    """The editor with a picture of `SIZE` in it, and prompts that the announced model knows."""
    with visiting(browser, str(client.base_url), viewport={"width": 1300, "height": 900}) as page:
        load(page, picture(SIZE))
        page.fill("#source_prompt", "a room with a green carpet")
        page.fill("#target_prompt", "a room with a purple carpet")
        yield page


def load(page: Page, content: bytes) -> None:
    """Choose a file as the picture."""
    page.set_input_files("#image-file", {"name": "room.png", "mimeType": "image/png", "buffer": content})
    expect(page.locator("#source-name")).to_contain_text("room.png")
    # What comes with the models would move the stage under the mouse.
    expect(page.locator("#status")).not_to_be_empty()


def drag(page: Page, *points: tuple[float, float], size: tuple[int, int] = SIZE) -> None:
    """Move the pressed mouse through points of a picture of this size."""
    box = page.locator("#sheet").bounding_box()
    assert box is not None
    for n, (x, y) in enumerate(points):
        page.mouse.move(box["x"] + x / size[0] * box["width"], box["y"] + y / size[1] * box["height"], steps=4)
        if n == 0:
            page.mouse.down()
    page.mouse.up()


def touch(page: Page, *points: tuple[float, float], size: tuple[int, int]) -> None:
    """Draw a finger through points of a picture of this size."""
    sheet = page.locator("#sheet")
    sheet.scroll_into_view_if_needed()
    box = sheet.bounding_box()
    assert box is not None
    device = page.context.new_cdp_session(page)
    for n, (x, y) in enumerate(points):
        at = {"x": box["x"] + x / size[0] * box["width"], "y": box["y"] + y / size[1] * box["height"]}
        kind = "touchMove" if n else "touchStart"
        device.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [at]})
    # The finger rests before it is lifted: else it flings, and the next tap only stops that.
    page.wait_for_timeout(100)
    device.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [at]})
    device.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def click(page: Page, point: tuple[float, float]) -> None:
    """One click on a point of the picture."""
    drag(page, point)


def sent(page: Page, settings: Settings) -> list[Image.Image]:
    """Submit, and the masks as the service keeps them."""
    with page.expect_response(is_submission) as posted:
        page.click("#submit")
    edit = posted.value.json()
    assert posted.value.status == 202, edit
    store = ObjectStore.from_settings(settings)
    count = len(edit["request"]["regions"])
    return [Image.open(io.BytesIO(store.get(mask_key("local", edit["id"], n)))).convert("L") for n in range(count)]


def share(image: Image.Image, box: tuple[int, int, int, int]) -> float:
    """The share of selected pixels in a rectangle."""
    part = image.crop(box)
    return part.histogram()[255] / (part.width * part.height)


def test_brush_eraser_box_polygon(page: Page, settings: Settings) -> None:
    page.check("[value=box]", force=True)
    drag(page, (20, 20), (60, 60))
    page.check("[value=polygon]", force=True)
    for corner in ((120, 20), (180, 20), (180, 80), (120, 20)):
        click(page, corner)
    page.check("[value=brush]", force=True)
    page.locator("#size").fill("20")
    drag(page, (30, 120), (100, 120))
    page.check("[value=eraser]", force=True)
    drag(page, (30, 40), (50, 40))
    (image,) = sent(page, settings)
    assert image.size == SIZE
    assert set(image.tobytes()) == {0, 255}
    assert share(image, (21, 21, 59, 29)) == 1  # the box
    assert share(image, (32, 34, 48, 46)) == 0  # what was erased of it
    assert 0.4 < share(image, (120, 20, 180, 80)) < 0.6  # a triangle
    assert share(image, (31, 113, 99, 127)) == 1  # the stroke, 20 px wide
    assert share(image, (0, 135, 200, 150)) == 0


def test_undo_redo_invert_clear(page: Page, settings: Settings) -> None:
    painted = page.locator(".share")
    page.locator("#stage").focus()
    page.keyboard.press("r")
    drag(page, (10, 10), (110, 110))
    expect(painted).to_have_text("33.3 %")
    page.keyboard.press("Control+z")
    expect(painted).to_have_text("nothing painted")
    page.keyboard.press("Control+Shift+z")
    expect(painted).to_have_text("33.3 %")
    page.click("#clear")
    expect(painted).to_have_text("nothing painted")
    page.click("#undo")
    page.click("#invert")
    (image,) = sent(page, settings)
    assert share(image, (12, 12, 108, 108)) == 0
    assert share(image, (112, 0, 200, 150)) == share(image, (0, 112, 200, 150)) == 1


def test_painting_by_keyboard(page: Page, settings: Settings) -> None:
    page.locator("#stage").focus()
    size = page.locator("#size-value")
    expect(size).to_have_text("20 px")
    page.keyboard.press("]")
    expect(size).to_have_text("25 px")
    page.keyboard.press("[")
    expect(size).to_have_text("20 px")
    # Comma and full stop do the same, and so do brackets that need AltGr (Ctrl with Alt) or Option.
    page.keyboard.press(".")
    expect(size).to_have_text("25 px")
    page.keyboard.press(",")
    expect(size).to_have_text("20 px")
    for held in ("altKey: true", "altKey: true, ctrlKey: true"):
        for key, expected in (("]", "25 px"), ("[", "20 px")):
            keydown = f"new KeyboardEvent('keydown', {{ key: '{key}', bubbles: true, {held} }})"
            page.evaluate(f"document.querySelector('#stage').dispatchEvent({keydown})")
            expect(size).to_have_text(expected)
    for key in ("Space", *["ArrowLeft"] * 4, "Space"):
        page.keyboard.press(key)
    (image,) = sent(page, settings)
    # From the middle (100, 75) four times a fortieth of the longer side to the left.
    assert share(image, (82, 68, 98, 82)) == 1
    assert share(image, (112, 0, 200, 150)) == 0


def test_a_stroke_ends_before_anything_else_happens(page: Page) -> None:
    share = page.locator(".share")

    def stroke() -> None:
        page.locator("#stage").focus()
        for key in ("Space", "ArrowLeft", "ArrowLeft"):
            page.keyboard.press(key)

    stroke()
    page.click("#clear")
    expect(share).to_have_text("nothing painted")
    page.click("#undo")
    expect(share).to_have_text(re.compile("%"))
    page.click("#undo")
    expect(share).to_have_text("nothing painted")
    stroke()
    page.click("#region-add")
    expect(share).to_have_text([re.compile("%"), "nothing painted"])
    stroke()
    page.click("[aria-label='Remove region 2']")
    expect(share).to_have_text([re.compile("%")])
    page.locator("#stage").focus()
    for key in ("Space", "ArrowRight", "Space"):
        page.keyboard.press(key)


def test_zoom(page: Page) -> None:
    page.locator("#stage").focus()
    fitted = page.locator("#zoom-fit").text_content()
    page.keyboard.press("+")
    assert page.locator("#zoom-fit").text_content() != fitted
    page.keyboard.press("0")
    expect(page.locator("#zoom-fit")).to_have_text(fitted or "")


def test_regions_have_masks_and_words(page: Page, settings: Settings) -> None:
    page.check("[value=box]", force=True)
    drag(page, (10, 10), (50, 50))
    page.get_by_label("Words to apply in region 1").fill("purple")
    page.click("#region-add")
    page.get_by_label("Words to apply in region 2").fill("carpet, room")
    drag(page, (100, 100), (150, 140))
    expect(page.locator("#reading-words li")).to_have_text(
        [
            "Region 1. Applied here: purple",
            "Region 2. Applied here: carpet, room",
        ]
    )
    first, second = sent(page, settings)
    assert share(first, (12, 12, 48, 48)) == share(second, (102, 102, 148, 138)) == 1
    assert share(first, (100, 100, 150, 140)) == share(second, (10, 10, 50, 50)) == 0


def test_a_mask_is_loaded(page: Page, settings: Settings) -> None:
    def choose(content: bytes) -> None:
        page.set_input_files("#mask-file", {"name": "mask.png", "mimeType": "image/png", "buffer": content})

    error = page.locator("[data-field=mask] .error")
    choose(mask((64, 48)))
    expect(error).to_have_text("This mask is 64 × 48, the picture is 200 × 150.")
    choose(b"no picture")
    expect(error).to_have_text("This file cannot be read as a picture.")
    choose(mask(SIZE, (10, 20, 30, 40)))
    (image,) = sent(page, settings)
    assert image.getbbox() == (10, 20, 30, 40)
    assert share(image, (10, 20, 30, 40)) == 1


def test_a_loaded_mask_is_read_as_the_service_reads_it(page: Page, settings: Settings) -> None:
    def choose(image: Image.Image) -> None:
        page.set_input_files("#mask-file", {"name": "mask.png", "mimeType": "image/png", "buffer": encode(image)})

    drawn = Image.new("RGB", SIZE)
    drawn.paste("red", (10, 20, 30, 40))
    choose(drawn)
    expect(page.locator("[data-field=mask] .error")).to_have_text(
        "This mask selects nothing: its brightest spot is 76 of 255, and 128 or more counts. "
        "Paint the area to change white."
    )
    ones = Image.new("L", SIZE, 0)
    ones.paste(1, (10, 20, 30, 40))
    choose(ones)
    (image,) = sent(page, settings)
    assert image.getbbox() == (10, 20, 30, 40)
    assert share(image, (10, 20, 30, 40)) == 1


def test_a_webp_with_an_orientation_is_edited_as_it_was_drawn(page: Page, settings: Settings) -> None:
    """Browsers do not turn it, the service does: the mask would hit another place."""
    stored = Image.new("RGB", SIZE, "white")
    stored.paste("black", (0, 0, 50, 50))
    exif = Image.Exif()
    exif[0x0112] = 6
    load(page, encode(stored, "WEBP", lossless=True, exif=exif))
    expect(page.locator("#source-name")).to_contain_text("200 × 150")
    drag(page, (20, 20), (60, 60))
    with page.expect_response(is_submission) as posted:
        page.click("#submit")
    assert posted.value.status == 202, posted.value.text()
    edit = posted.value.json()["id"]
    kept = Image.open(io.BytesIO(ObjectStore.from_settings(settings).get(image_key("local", edit))))
    assert kept.size == SIZE
    assert kept.convert("L").point(lambda v: 255 if v < 128 else 0).getbbox() == (0, 0, 50, 50)


def test_a_picture_is_pasted_and_dropped(page: Page) -> None:
    give = """async ([kind, target]) => {
      const canvas = new OffscreenCanvas(30, 20);
      canvas.getContext("2d");
      const transfer = new DataTransfer();
      transfer.items.add(new File([await canvas.convertToBlob()], `${kind}.png`, { type: "image/png" }));
      const options = { bubbles: true, clipboardData: transfer, dataTransfer: transfer };
      const event = kind === "paste" ? new ClipboardEvent(kind, options) : new DragEvent(kind, options);
      document.querySelector(target).dispatchEvent(event);
    }"""
    for kind in ("paste", "drop"):
        page.evaluate(give, [kind, "#stage"])
        expect(page.locator("#source-name")).to_have_text(f"{kind}.png, 30 × 20")
    # What is pasted into a text is text: a picture beside it replaces nothing.
    load(page, picture(SIZE))
    page.evaluate(give, ["paste", "#source_prompt"])
    page.wait_for_timeout(200)
    expect(page.locator("#source-name")).to_contain_text("room.png")
    page.set_input_files("#image-file", {"name": "text.png", "mimeType": "image/png", "buffer": b"text"})
    expect(page.locator(".error")).to_contain_text("text.png cannot be read as a picture")


def test_a_demo_scene_brings_mask_and_prompts(browser: Browser, client: httpx.Client) -> None:
    with visiting(browser, str(client.base_url)) as page:
        page.click(".preset:has-text('pillow')")
        expect(page.locator("#target_prompt")).to_have_value(demo_edit("pillow").target_prompt)
        expect(page.get_by_label("Words to apply in region 1")).to_have_value("red pillow")
        selected = demo_edit("pillow").mask().convert("L").histogram()[255] / 128**2
        expect(page.locator(".share")).to_have_text(f"{100 * selected:.1f} %")
        expect(page.locator("#reading mark")).to_have_text("red")
