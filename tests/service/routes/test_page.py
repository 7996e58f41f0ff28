"""What the front end serves of the page: its files, its pictures to start from, and nothing else."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from PIL import Image

from jobs.settings import Settings
from magedit.demo.named import DEMO_EDITS, demo_edit
from service.routes.page import FOLDER
from tests.service.conftest import serving


def test_page_has_a_strict_content_security_policy(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    # Scripts and styles come from files alone: nothing but the picture sources differs from the default.
    assert not {"script-src", "style-src", "connect-src"} & set(policy)
    assert "unsafe" not in str(policy)


FILES = sorted(path for path in FOLDER.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_every_file_is_served_and_names_no_other_host(client: httpx.Client, path: Path) -> None:
    response = client.get(f"/page/{path.relative_to(FOLDER)}")
    assert response.status_code == 200
    assert response.content == path.read_bytes()
    code = re.sub(r"^\s*//.*$", "", response.text, flags=re.MULTILINE)
    addresses = re.findall(r"https?://[^\"']*", code)
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}  # a name, which nobody fetches
    again = client.get(f"/page/{path.relative_to(FOLDER)}", headers={"If-None-Match": response.headers["etag"]})
    assert again.status_code == 304


OUTSIDE = [
    "/page/../app.py",
    "/page/%2e%2e",
    "/page/..%2fapp.py",
    "/page/css/%2e%2e/%2e%2e/app.py",
    "/page//etc/hostname",
]


NO_FILE_NAMES = ["/page/%00.js", f"/page/{'a' * 300}.js"]


@pytest.mark.parametrize("path", NO_FILE_NAMES, ids=["nul", "long"])
def test_impossible_file_name_is_not_found(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("path", [*OUTSIDE, "/page/none.js", "/page/", "/page/css"])
def test_other_files_are_not_served(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 404


class Words(HTMLParser):
    """What a document says itself: texts, and attributes that are read out or shown."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, _: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in {"alt", "aria-label", "placeholder", "title"}]

    def handle_data(self, data: str) -> None:
        self.found += [data.strip()] if data.strip() else []


def test_every_text_is_in_one_file() -> None:
    words = Words()
    words.feed((FOLDER / "index.html").read_text())
    assert set(words.found) <= {"MAG-Edit", "curl", "Python", "100 %"}
    sentence = re.compile(r"""["'`][A-Z][a-z]+ [a-z]""")
    own = [path for path in FILES if path.suffix == ".js" and path.parent.name not in {"vendor", "docs"}]
    assert [path.name for path in own if sentence.search(path.read_text())] == ["strings.js"]


def test_presets_are_the_demos_edits(client: httpx.Client) -> None:
    presets = client.get("/page/presets.json").json()["presets"]
    assert [preset["name"] for preset in presets] == list(DEMO_EDITS)
    for preset in presets:
        edit = demo_edit(preset["name"])
        assert preset["target_prompt"] == edit.target_prompt
        image, mask = (Image.open(io.BytesIO(client.get(preset[part]).content)) for part in ("image", "mask"))
        assert image.tobytes() == edit.image().tobytes()
        assert mask.tobytes() == edit.mask().tobytes()
    for path in ("/page/presets/none.json", "/page/presets/carpet/none.png", "/page/presets/none/image.png"):
        assert client.get(path).status_code == 404


def test_another_model_knows_no_demo_rooms(settings: Settings) -> None:
    with serving(settings.model_copy(update={"default_model": "sd14"})) as client:
        assert client.get("/page/presets.json").json() == {"presets": []}


def test_the_page_is_open_where_keys_are_asked_for(settings: Settings) -> None:
    with serving(settings.model_copy(update={"auth": "keys"})) as client:
        assert client.get("/").status_code == 200
        assert client.get("/page/main.js").status_code == 200
        assert client.get("/v1/edits").status_code == 401
