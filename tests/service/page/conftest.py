"""Chromium, and the whole service with the demo's checkpoint behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, expect, sync_playwright

from cli.processes.stack import Stack
from jobs.settings import Settings
from tests.conftest import PATIENCE_S
from tests.service.conftest import Announce
from tests.service.page import browser as chromium

TIMEOUT_MS = 1000 * PATIENCE_S
"""Longest wait for anything on the page: edits are real, and the machine may be busy."""


PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
WIDE: dict[str, Any] = {"viewport": {"width": 1300, "height": 900}}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium; of a module and not longer, because its event loop is the thread's."""
    if chromium.unwanted():
        pytest.skip(f"{chromium.NONE_WANTED} is set")
    program = chromium.find()
    assert program, chromium.CURE
    # Root has no user namespaces to put a sandbox into, and containers have a small /dev/shm.
    arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running service with the demo's checkpoint."""
    settings = Settings(api_port=0, state_dir=tmp_path_factory.mktemp("stack"), device="cpu")
    with Stack(settings, workers=1, embedded=True) as stack:
        stack.wait_ready()
        yield stack


@pytest.fixture
def client(client: httpx.Client, announce: Announce) -> Iterator[httpx.Client]:
    """One that keeps no connection: beside a browser it may be idle for as long as the server keeps one."""
    announce()
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=client.base_url, timeout=PATIENCE_S, limits=limits) as client:
        yield client


def is_submission(answer: Response) -> bool:
    """Whether the page has sent an edit and this is the answer."""
    return answer.request.method == "POST" and answer.url.endswith("/v1/edits")


@contextmanager
def visiting(browser: Browser, url: str, **context: Any) -> Iterator[Page]:
    """A visitor with an empty profile. Leaving fails if the console had an error or the page threw one."""
    errors: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        # The browser itself reports every answer of 4xx or 5xx; those are the page's to show.
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            errors.append(message.text)

    with browser.new_context(base_url=url, **context) as visitor:
        visitor.set_default_timeout(TIMEOUT_MS)
        page = visitor.new_page()
        page.on("console", listen)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto("/")
        yield page
    assert errors == []


def serious(page: Page) -> list[str]:
    """What axe-core finds wrong for those who cannot see, point or tell colours apart: serious and critical alone."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html'][:150]} {node.get('failureSummary', '')}"
        for each in found
        if each["impact"] in {"serious", "critical"}
        for node in each["nodes"]
    ]
