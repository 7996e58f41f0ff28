"""OpenAI's own client for Python against the whole service."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from PIL import Image, ImageChops

from cli.processes.stack import Stack
from magedit.client import Client
from tests.e2e.conftest import PROMPTS, QUICK, SIZE, carpet, room
from tests.e2e.test_whole_path import assert_edited

TARGET = PROMPTS["target_prompt"]
SHORT = {name: str(value) for name, value in QUICK.items()}
PAIR = {"source_prompt": PROMPTS["source_prompt"], **SHORT}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("openai") / "room.png"
    room().save(path)
    return path


@pytest.fixture(scope="module")
def mask(image: Path) -> Path:
    """Transparent where to edit."""
    picture, path = Image.new("RGBA", SIZE), image.with_name("mask.png")
    picture.putalpha(ImageChops.invert(carpet()))
    picture.save(path)
    return path


@pytest.fixture
def client(s3_stack: Stack) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{s3_stack.url}/v1", api_key="none", max_retries=2) as client:
        yield client


def test_an_edit(client: openai.OpenAI, s3_stack: Stack, image: Path, mask: Path) -> None:
    raw = client.images.with_raw_response.edit(
        image=[image], mask=mask, prompt=TARGET, model="demo", n=2, size="auto", user="someone", extra_body=PAIR
    )
    answer = raw.parse()
    assert answer.data is not None
    assert len(answer.data) == 2
    assert answer.size == f"{SIZE[0]}x{SIZE[1]}"
    with Client(s3_stack.url) as service:
        edit = service.get(raw.headers["edit-id"])
    assert edit.measures is not None
    for each in answer.data:
        assert each.b64_json is not None
        assert_edited(base64.b64decode(each.b64_json), edit.measures.paste_margin_px)


def test_a_prompt_alone(client: openai.OpenAI, s3_stack: Stack, image: Path, mask: Path) -> None:
    raw = client.images.with_raw_response.edit(
        image=image, mask=mask, prompt=TARGET, output_format="webp", output_compression=40, extra_body=SHORT
    )
    (only,) = raw.parse().data or []
    with Image.open(io.BytesIO(base64.b64decode(only.b64_json or ""))) as result:
        assert (result.format, result.size) == ("WEBP", SIZE)
    with Client(s3_stack.url) as service:
        assert service.get(raw.headers["edit-id"]).state == "succeeded"


def test_an_address(client: openai.OpenAI, image: Path, mask: Path) -> None:
    answer = client.images.edit(image=image, mask=mask, prompt=TARGET, response_format="url", extra_body=PAIR)
    (only,) = answer.data or []
    assert only.url is not None
    assert only.url.startswith("http")


def test_a_stream(client: openai.OpenAI, image: Path, mask: Path) -> None:
    with client.images.edit(
        image=image, mask=mask, prompt=TARGET, stream=True, partial_images=3, extra_body=PAIR
    ) as stream:
        events = list(stream)
    last = events[-1]
    assert last.type == "image_edit.completed"
    assert last.usage.total_tokens == 0
    assert {each.type for each in events[:-1]} <= {"image_edit.partial_image"}
    with Image.open(io.BytesIO(base64.b64decode(last.b64_json))) as result:
        assert result.size == SIZE


def test_the_asynchronous_client(s3_stack: Stack, image: Path, mask: Path) -> None:
    async def edit() -> int:
        async with openai.AsyncOpenAI(base_url=f"{s3_stack.url}/v1", api_key="none") as client:
            answer = await client.images.edit(image=image, mask=mask, prompt=TARGET, extra_body=PAIR)
            return len(answer.data or ())

    assert asyncio.run(edit()) == 1


def test_errors_are_its_own_classes_and_are_not_repeated(client: openai.OpenAI, image: Path, mask: Path) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.edit(image=image, mask=mask, prompt=TARGET, size="1024x1024", extra_body=PAIR)
    assert (caught.value.param, caught.value.code) == ("size", "invalid_request")
    with pytest.raises(openai.NotFoundError) as unknown:
        client.images.edit(image=image, mask=mask, prompt=TARGET, model="gpt-image-2")
    assert (unknown.value.param, unknown.value.code) == ("model", "unknown_model")


def test_the_models(client: openai.OpenAI) -> None:
    assert [each.id for each in client.models.list()] == ["demo"]
