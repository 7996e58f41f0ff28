"""Edits that wait, connections that break, lists that grow, and pictures that come late."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from jobs.schema import State
from jobs.storage import artifact_key, result_key
from magedit.measures.report import EditMeasures, EditWarning, Ratios, ResultMeasures
from tests.conftest import wait_until
from tests.service.conftest import Form, WorkerSide, picture
from tests.service.page.conftest import WIDE, visiting


@pytest.fixture
def page(browser: Browser, client: httpx.Client) -> Iterator[Page]:
    """The page with nothing in it."""
    with visiting(browser, str(client.base_url), **WIDE) as page:
        yield page


def submit(form: Form, client: httpx.Client) -> str:
    """Send the form; the edit's id."""
    return str(form.send(client).json()["id"])


def finish(edit_id: str, worker_side: WorkerSide) -> None:
    """Two results, and a file that no figure shows."""
    claim = worker_side.claim(edit_id)
    names = ("result-0.png", "result-1.png")
    results = [worker_side._store(result_key(claim, name), name, picture()) for name in names]
    artifact = worker_side._store(artifact_key(claim, "mask.png"), "mask.png", picture((8, 8)))
    after = (Ratios(token=0.5, spatial=0.25),)
    own = tuple(ResultMeasures(seed=0, strength=strength, after=after) for strength in (0.5, 1.0))
    measures = EditMeasures(after=after, words=(("purple",),), unet_forward=20, results=own)
    assert worker_side.records.commit_success(claim, measures, results, [artifact]) is State.SUCCEEDED


def test_queue_position_is_updated(page: Page, client: httpx.Client, form: Form, worker_side: WorkerSide) -> None:
    first, _, last = (submit(form, client) for _ in range(3))
    page.goto(f"/#edit={last}")
    text = page.locator("#progress-text")
    expect(text).to_have_text("Waiting: 2 edits before this one")
    worker_side.claim(first)
    expect(text).to_have_text("Waiting: 1 edit before this one")


def test_an_edit_that_is_likely_to_fail_says_so_while_it_runs(
    page: Page, client: httpx.Client, form: Form, worker_side: WorkerSide
) -> None:
    edit_id = submit(form, client)
    claim = worker_side.claim(edit_id)
    page.goto(f"/#edit={edit_id}")
    warning = page.locator("#progress-warning")
    expect(page.locator("#progress")).to_be_visible()
    expect(warning).to_be_hidden()
    told = EditWarning(code="likely_to_fail", message="the words hold little attention")
    worker_side.records.renew(claim, None, warnings=(told,))
    expect(warning).to_contain_text("This edit will probably fail")
    worker_side.progress(claim, 0.5)
    expect(page.locator("#progress-text")).to_contain_text("step 5")
    expect(warning).to_be_visible()


def test_a_restored_connection_is_logged(page: Page, client: httpx.Client, form: Form) -> None:
    page.route("**/events*", lambda route: route.abort())
    page.goto(f"/#edit={submit(form, client)}")
    outage = page.locator("#outage")
    expect(outage).to_be_visible()
    page.unroute("**/events*")
    expect(outage).to_be_hidden()
    # The edit still waits: it is the connection that is back, not the end of it.
    expect(page.locator("#progress")).to_be_visible()


FOLLOW = """async () => {
  const { follow } = await import("/page/result/follow.js");
  window.asked = 0;
  window.outages = [];
  const real = window.fetch;
  window.fetch = async (path, options) => {
    // The page asks for its own things too.
    if (!String(path).endsWith("/v1/edits/0/events")) return real(path, options);
    const { signal } = options;
    window.asked += 1;
    if (window.away) throw new TypeError("away");
    const start = (controller) => signal.addEventListener("abort", () => controller.error(signal.reason));
    return new Response(new ReadableStream({ start }));
  };
  const edit = { state: "running", links: { events: "/v1/edits/0/events", self: "/v1/edits/0" } };
  follow(edit, () => {}, (away) => window.outages.push(away), new AbortController().signal);
  // It is connected, or has failed to, before any time goes by.
  for (let n = 0; n < 100; n += 1) await null;
}"""


def stop_the_clock(page: Page) -> None:
    """Time goes on only by `run_for`: an installed clock ticks by itself, and more on a machine that is busy."""
    page.clock.install(time=0)
    page.clock.pause_at(60_000)


def test_silent_connection_is_reopened(page: Page) -> None:
    stop_the_clock(page)
    page.evaluate(FOLLOW)
    page.clock.run_for(44_000)
    assert page.evaluate("[asked, outages.at(-1)]") == [1, False]
    page.clock.run_for(1_500)
    assert page.evaluate("[asked, outages.at(-1)]") == [1, True]
    page.clock.run_for(1_000)
    assert page.evaluate("[asked, outages.at(-1)]") == [2, False]


def test_backoff_is_reset_after_a_connection(page: Page) -> None:
    stop_the_clock(page)
    page.evaluate("window.away = true")
    page.evaluate(FOLLOW)
    page.clock.run_for(8_000)  # tried at 0, 1, 3 and 7 s
    assert page.evaluate("asked") == 4
    page.evaluate("window.away = false")
    page.clock.run_for(8_000)  # at 15 s
    assert page.evaluate("asked") == 5
    page.clock.run_for(44_000)  # silent until 60 s, then again after the shortest pause
    assert page.evaluate("asked") == 5
    page.clock.run_for(3_000)
    assert page.evaluate("asked") == 6


def test_a_cancel_that_fails_can_be_tried_again(page: Page, client: httpx.Client, form: Form) -> None:
    edit_id = submit(form, client)
    page.route("**/cancel", lambda route: route.abort())
    for address, button in ((f"/#edit={edit_id}", "#cancel"), (f"/#compare={edit_id}", "#compare-cancel")):
        page.goto(address)
        page.click(button)
        expect(page.locator("#banner")).to_contain_text("There was no answer")
        expect(page.locator(button)).to_be_enabled()
    page.unroute("**/cancel")
    page.click("#compare-cancel")
    expect(page.locator("#grid td p")).to_have_text("This edit was canceled.")


def test_list_keeps_its_filter(page: Page, client: httpx.Client, form: Form) -> None:
    ids = [submit(form, client) for _ in range(14)]
    page.reload()
    edits = page.locator("#edits > li")
    expect(edits).to_have_count(12)
    page.locator("#older").dblclick()
    expect(edits).to_have_count(14)
    expect(page.locator("#older")).to_be_hidden()
    ids.append(submit(form, client))
    client.put(f"/v1/edits/{ids[13]}/cancel")
    client.put(f"/v1/edits/{ids[12]}/cancel")
    client.delete(f"/v1/edits/{ids[12]}")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # back to the tab
    expect(edits.first).to_have_attribute("data-id", ids[14])
    assert [edit.get_attribute("data-id") for edit in edits.all()] == [*reversed(ids[13:]), *reversed(ids[:12])]
    expect(edits.nth(1).locator(".state")).to_have_text("Canceled")
    edits.nth(1).locator(".entry").click()
    expect(page.locator("#finished .note")).to_have_text("This edit was canceled.")
    expect(page.locator("#editor-title")).to_be_focused()
    assert page.url.endswith(f"#edit={ids[13]}")
    expect(page.locator("#edits [aria-current]")).to_have_count(1)


def test_of_two_results_the_last_one_chosen_is_shown(
    page: Page, client: httpx.Client, form: Form, worker_side: WorkerSide
) -> None:
    form.data["sweep"] = ["0.5", "1"]
    edit_id = submit(form, client)
    finish(edit_id, worker_side)
    files: list[str] = []
    page.on("request", lambda request: files.append(request.url) if "mask.png" in request.url else None)
    page.goto(f"/#edit={edit_id}")
    results = page.locator(".results button")
    expect(results).to_have_count(2)
    page.evaluate("""() => {
      const decode = window.createImageBitmap;
      let first = true;
      window.createImageBitmap = async (...args) => {
        if (first) {
          first = false;
          await new Promise((resolve) => setTimeout(resolve, 1500)).then(() => (window.late = true));
        }
        return decode(...args);
      };
    }""")
    results.nth(0).click()
    results.nth(1).click()
    wait_until(lambda: page.evaluate("window.late"), what="the slow picture")
    page.wait_for_timeout(300)
    expect(page.locator(".results [aria-pressed=true]")).to_have_text("strength 1")
    # A file is fetched when somebody wants it.
    assert files == []
    results.nth(0).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="mask.png").click()
    assert download.value.suggested_filename == "mask.png"


def test_a_picture_is_kept_while_it_is_shown(page: Page) -> None:
    page.route(re.compile("/page/some-"), lambda route: route.fulfill(body=picture(), content_type="image/png"))
    loads = page.evaluate("""async () => {
      const { picture } = await import("/page/shared/api.js");
      const loads = (url) => new Promise((resolve) => {
        const image = new Image();
        image.onload = () => resolve(true);
        image.onerror = () => resolve(false);
        image.src = url;
      });
      const urls = [];
      for (let n = 0; n < 81; n += 1) {
        urls.push((await picture(`/page/some-${n}`)).url);
        if (n === 0) document.body.append(Object.assign(new Image(), { src: urls[0] }));
        await picture("/page/some-1"); // asked for again and again
      }
      await picture("/page/some-81");
      return Promise.all([0, 1, 2, 3, 4, 80].map((n) => loads(urls[n])));
    }""")
    # The first is shown, the second was asked for last but one; the third and fourth had to make room.
    assert loads == [True, True, False, False, True, True]
