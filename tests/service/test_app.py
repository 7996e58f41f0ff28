"""The front end as a process sees it: no torch, nothing done at import, loopback by default."""

from __future__ import annotations

import subprocess
import sys

import httpx

from jobs.settings import Settings
from service.app import create_app
from tests.conftest import free_port


def test_the_front_end_loads_no_torch_and_no_worker() -> None:
    code = (
        "import sys, service.app, service.__main__\n"
        "from jobs.settings import Settings\n"
        "service.app.create_app(Settings())\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'worker', 'magedit.pipelines.mag_edit', 'cli'}\n"
        "loaded = heavy & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_building_the_app_connects_to_nothing() -> None:
    create_app(Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0"))


def test_without_keys_it_listens_on_loopback() -> None:
    assert Settings().api_host == "127.0.0.1"


def test_the_contract_is_served(client: httpx.Client) -> None:
    assert client.get("/openapi.json").json()["openapi"].startswith("3.1")
    assert "swagger" in client.get("/docs").text
