"""Masks through both clients."""

from __future__ import annotations

import asyncio
import threading

import httpx
import pytest

from jobs.settings import Settings
from magedit.client import AsyncClient, Client, ServiceError
from tests.conftest import wait_until
from tests.service.conftest import Announce, picture
from tests.service.routes.test_masks import find


def worker(settings: Settings, client: httpx.Client) -> threading.Thread:
    """Finds the next mask that is submitted."""

    def work() -> None:
        wait_until(lambda: bool(client.get("/v1/masks?state=queued").json()["masks"]), what="a mask")
        find(settings, client.get("/v1/masks?state=queued").json()["masks"][0]["id"], (10, 10, 30, 20))

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_find_mask_waits_for_the_mask(client: httpx.Client, announce: Announce, settings: Settings) -> None:
    announce(finds_by=("points",))
    working = worker(settings, client)
    with Client(str(client.base_url)) as own:
        mask = own.find_mask(picture(), points=[(20, 15, 1)], grow=1, wait_s=1)
        working.join()
        assert (mask.state, mask.found_by, mask.candidates[0].box) == ("succeeded", "segmenter", (10, 10, 20, 10))
        assert own.fetch(mask.candidates[0].href).startswith(b"\x89PNG")
        edit = own.submit(
            picture(),
            source_prompt="a room with a green carpet",
            target_prompt="a room with a purple carpet",
            mask_shapes=[{"mask_id": mask.id, "grow": 2}],
        )
        assert edit.state == "queued"


def test_find_mask_waits_asynchronously(client: httpx.Client, announce: Announce, settings: Settings) -> None:
    announce(finds_by=("points",))

    async def find_one() -> str | None:
        async with AsyncClient(str(client.base_url)) as own:
            return (await own.find_mask(picture(), points=[(20, 15, 1)], wait_s=1)).found_by

    working = worker(settings, client)
    assert asyncio.run(find_one()) == "segmenter"
    working.join()


def test_why_nothing_is_found_is_raised(client: httpx.Client, announce: Announce) -> None:
    announce(finds_by=("points",))
    with Client(str(client.base_url)) as own, pytest.raises(ServiceError) as error:
        own.find_mask(picture(), points=[(900, 15, 1)])
    assert error.value.problem.code == "point_outside_image"
