"""The stage: gestures, the edge of the mask, and one undo for everything."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from jobs.settings import Settings
from tests.service.conftest import Announce, encode, picture
from tests.service.page.conftest import PHONE, WIDE, visiting
from tests.service.page.test_masks import SIZE, drag, load, sent, share

Point = tuple[float, float]


@pytest.fixture
def page(browser: Browser, client: httpx.Client) -> Iterator[Page]:
    """The editor with a red picture of `SIZE` in it, and prompts that the announced model knows."""
    with visiting(browser, str(client.base_url), viewport={"width": 1280, "height": 900}) as page:
        load(page, encode(Image.new("RGB", SIZE, "red")))
        page.fill("#source_prompt", "a room with a green carpet")
        page.fill("#target_prompt", "a room with a purple carpet")
        yield page


def placed(page: Page) -> tuple[float, float, float, float]:
    """Left, top, width and height of the picture on the screen."""
    box = page.locator("#sheet").bounding_box()
    assert box is not None
    return box["x"], box["y"], box["width"], box["height"]


def fingers(page: Page, *steps: list[Point]) -> None:
    """Put fingers on these points of the screen, move them through the next ones, and lift them."""
    device = page.context.new_cdp_session(page)
    for n, points in enumerate(steps):
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        device.send("Input.dispatchTouchEvent", {"type": "touchMove" if n else "touchStart", "touchPoints": touches})
    device.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_lasso_selection_grows_shrinks_and_feathers(page: Page, settings: Settings) -> None:
    page.check("[value=lasso]", force=True)
    drag(page, (50, 40), (100, 40), (100, 90), (50, 90))
    (image,) = sent(page, settings)
    assert image.getbbox() == pytest.approx((50, 40, 100, 90), abs=2)
    page.fill("#amount", "10")
    page.click("#grow")
    (image,) = sent(page, settings)
    assert image.getbbox() == pytest.approx((40, 30, 110, 100), abs=2)
    assert share(image, (52, 32, 98, 98)) == 1
    page.fill("#amount", "25")
    page.click("#shrink")
    (image,) = sent(page, settings)
    assert image.getbbox() == pytest.approx((65, 55, 85, 75), abs=3)
    page.locator("#feather").fill("12")
    (image,) = sent(page, settings)
    levels = [image.tobytes()[65 * SIZE[0] + x] for x in (40, 65, 75)]
    assert levels[0] == 0
    assert 60 < levels[1] < 200 < levels[2]


def test_the_wheel_zooms_at_the_pointer_and_space_pans(page: Page) -> None:
    left, top, width, _ = placed(page)
    at = (left + width / 4, top + 40)
    page.mouse.move(*at)
    page.mouse.wheel(0, -400)
    x, y, wide, _ = placed(page)
    assert wide > 1.5 * width
    # The same point of the picture is under the pointer.
    assert (at[0] - x) / wide == pytest.approx(0.25, abs=0.01)
    assert (at[1] - y) / wide == pytest.approx(40 / width, abs=0.01)
    page.locator("#stage").focus()
    page.keyboard.down("Space")
    page.mouse.down()
    page.mouse.move(at[0] + 60, at[1] + 30, steps=3)
    page.mouse.up()
    page.keyboard.up("Space")
    assert placed(page)[:2] == pytest.approx((x + 60, y + 30), abs=1)
    expect(page.locator(".share")).to_have_text("nothing painted")
    page.keyboard.press("0")
    assert placed(page) == pytest.approx((left, top, width, width * 150 / 200), abs=1)


def test_two_fingers_pan_and_zoom_and_one_paints(browser: Browser, client: httpx.Client) -> None:
    with visiting(browser, str(client.base_url), **PHONE) as page:
        load(page, picture(SIZE))
        page.locator("#stage").scroll_into_view_if_needed()
        left, top, width, height = placed(page)
        x, y = left + width / 2, top + height / 2
        fingers(page, [(x - 20, y)], [(x - 20, y), (x + 20, y)], [(x - 60, y), (x + 60, y)])
        _, _, wide, _ = placed(page)
        assert wide == pytest.approx(3 * width, rel=0.05)
        fingers(page, [(x - 20, y), (x + 20, y)], [(x - 20, y + 30), (x + 20, y + 30)])
        assert placed(page)[2] == pytest.approx(wide, rel=0.02)
        # Neither has painted; what the first finger had begun is gone.
        expect(page.locator(".share")).to_have_text("nothing painted")
        expect(page.locator("#undo")).to_be_enabled()  # the picture itself
        fingers(page, [(x - 20, y)], [(x + 20, y)])
        expect(page.locator(".share")).not_to_have_text("nothing painted")


def test_mask_edge_is_visible_on_every_colour(page: Page) -> None:
    page.check("[value=box]", force=True)
    drag(page, (50, 50), (150, 100))
    page.mouse.move(5, 5)
    page.locator("#tint").fill("0")
    box = page.locator("#pane").bounding_box()
    assert box is not None

    def colours() -> Counter[tuple[int, ...]]:
        pixels = Image.open(io.BytesIO(page.screenshot(clip=box))).convert("RGB").tobytes()
        return Counter(zip(pixels[::3], pixels[1::3], pixels[2::3], strict=True))

    bare = colours()
    # No tint, and a border in black and white of the picture's red.
    assert bare[255, 255, 255] > 200
    assert bare[0, 0, 0] > 200
    page.locator("#tint").fill("60")
    assert sum(count for colour, count in colours().items() if colour[2] > 100 and colour[0] < 180) > 1000
    page.click("#regions .eye")
    hidden = colours()
    assert (0, 0, 0) not in hidden
    page.get_by_label("Show region 1").click()
    assert colours()[0, 0, 0] > 200


def test_all_changes_are_undone_in_order(page: Page) -> None:
    undo, redo = page.locator("#undo"), page.locator("#redo")
    words = page.get_by_label("Words to apply in region 1")
    page.check("[value=box]", force=True)
    drag(page, (10, 10), (110, 110))
    words.fill("purple")
    words.press("Tab")
    page.select_option("#field-preset", "fast")
    page.click("#region-add")
    page.click("#copy-prompt")
    expect(page.locator("#regions li")).to_have_count(2)
    undo.click()
    expect(page.locator("#target_prompt")).to_have_value("a room with a purple carpet")
    undo.click()
    expect(page.locator("#regions li")).to_have_count(1)
    undo.click()
    expect(page.locator("#field-preset")).to_have_value("balanced")
    undo.click()
    expect(words).to_have_value("")
    undo.click()
    expect(page.locator(".share")).to_have_text("nothing painted")
    load(page, picture((60, 40)))
    expect(page.locator("#source-name")).to_contain_text("60 × 40")
    undo.click()
    expect(page.locator("#source-name")).to_contain_text("200 × 150")
    expect(page.locator("#target_prompt")).to_have_value("a room with a purple carpet")
    while undo.is_enabled():
        undo.click()
    expect(page.locator("#empty")).to_be_visible()
    expect(page.locator("#source_prompt")).to_have_value("")
    page.keyboard.press("Control+Shift+z")
    expect(page.locator("#source-name")).to_contain_text("200 × 150")
    expect(redo).to_be_enabled()


def test_required_controls_are_in_view(browser: Browser, client: httpx.Client) -> None:
    needed = ["#stage", "#tools", "#undo", "#size", "#invert", "#source_prompt", "#target_prompt", "#submit"]
    with visiting(browser, str(client.base_url), viewport={"width": 1280, "height": 900}) as page:
        load(page, picture(SIZE))
        for part in needed:
            expect(page.locator(part)).to_be_in_viewport(ratio=1)
    with visiting(browser, str(client.base_url), **PHONE) as page:
        load(page, picture(SIZE))
        for part in ("#stage", "#tools", "#undo", "#size", "#submit"):
            expect(page.locator(part)).to_be_in_viewport(ratio=1)
        page.locator("#target_prompt").scroll_into_view_if_needed()
        expect(page.locator("#submit")).to_be_in_viewport(ratio=1)
        page.click("#submit")
        # The first field with an error, with its sentence.
        expect(page.locator("[data-field=mask] .error")).to_be_in_viewport()


def test_model_domain_is_shown_first(browser: Browser, shared_client: httpx.Client, announce: Announce) -> None:
    announce(domain="flat drawings of rooms")
    announce(name="photos")
    with visiting(browser, str(shared_client.base_url), **WIDE) as page:
        told = page.locator("#purpose")
        expect(told).to_contain_text("The model 'demo' is made for flat drawings of rooms.")
        told.locator("summary").click()
        expect(told.locator("pre")).to_contain_text("MAGEDIT_CHECKPOINT=")
        load(page, picture(SIZE))
        expect(told).to_contain_text("Photographs come back smeared.")
        page.click("#advanced summary")
        page.locator("#field-model").select_option("photos")
        expect(told).to_be_hidden()
