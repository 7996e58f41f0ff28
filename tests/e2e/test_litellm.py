"""LiteLLM's proxy between OpenAI's client and the service (`make litellm`): slow, in an environment of its own."""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from cli.processes.stack import Stack
from tests.conftest import free_port, running, wait_until
from tests.docs.commands import titled
from tests.docs.conftest import DOCS, ROOT
from tests.e2e.test_openai import PAIR, TARGET, image, mask
from tests.e2e.test_whole_path import assert_edited

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

LITELLM = "litellm[proxy]==1.106.12"
"""Later versions want packages that not every mirror of PyPI has."""
START_S = 600.0
"""Longest time until the proxy answers: it imports much."""

__all__ = ["image", "mask"]


@pytest.fixture(scope="module")
def litellm() -> Path:
    """LiteLLM's command; installed once, beside the service's own packages and none of them."""
    folder = ROOT / ".cache" / "litellm"
    command = folder / "bin" / "litellm"
    if not command.exists():
        uv = (sys.executable, "-m", "uv")
        subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
        subprocess.run([*uv, "pip", "install", "--quiet", "--python", folder, LITELLM], check=True)
    return command


@pytest.fixture(scope="module")
def proxied(litellm: Path, s3_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    """OpenAI's client of the proxy, which has the configuration of the documentation."""
    folder, port, key = tmp_path_factory.mktemp("litellm"), free_port(), f"sk-{secrets.token_hex(16)}"
    config = folder / "litellm.yaml"
    config.write_text(titled(DOCS / "integrations.md", "litellm.yaml").replace("http://127.0.0.1:8000", s3_stack.url))
    # Its list of prices is on another host.
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": key}
    command = [str(litellm), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with running(command, cwd=folder, env=environment, stdout=sys.stderr):
        wait_until(lambda: answers(f"{url}/health/liveliness"), START_S, "LiteLLM's proxy")
        with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
            yield client


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.TransportError:
        return False


def test_an_edit_through_the_proxy(proxied: openai.OpenAI, image: Path, mask: Path) -> None:
    answer = proxied.images.edit(model="room-editor", image=image, mask=mask, prompt=TARGET, extra_body=PAIR)
    (only,) = answer.data or []
    assert only.b64_json is not None
    assert_edited(base64.b64decode(only.b64_json), 8)


def test_an_error_through_the_proxy(proxied: openai.OpenAI, image: Path, mask: Path) -> None:
    with pytest.raises(openai.BadRequestError, match="the result always has the image's size"):
        proxied.images.edit(
            model="room-editor", image=image, mask=mask, prompt=TARGET, size="1024x1024", extra_body=PAIR
        )
