"""The compose file at work: an edit, a killed worker, a second start, a stop, another checkpoint; in this order."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from PIL import Image

from jobs.storage import sha256
from magedit.client import Edit
from magedit.images.masks import outside_difference
from tests.conftest import wait_until
from tests.containers.conftest import PROMPTS, ROOT, SECRETS, URL, Stack, say
from tests.e2e.conftest import carpet, room

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
OURS = ("service", "reaper", "deliverer", "worker-cpu")
SERVERS = ("redis", "s3")
KNOCK = """
import socket
for port in (8333, 18333, 9333, 19333, 8888, 18888, 8080, 18080, 8181, 9101):
    with socket.socket() as knocking:
        knocking.settimeout(2)
        print(port, knocking.connect_ex((socket.gethostbyname("s3"), port)) == 0)
"""


def command_of(first_word: str) -> str:
    """The shell block of the Deploy page that begins so."""
    page = (ROOT / "docs" / "deploy.md").read_text()
    (block,) = re.findall(rf"```sh\n( *{re.escape(first_word)}.*?)```", page, re.DOTALL)
    return str(block)


def finished(stack: Stack, job: str) -> bytes:
    """The picture of an edit that succeeded; checked outside the mask."""
    with stack.client() as client:
        done = client.get(job)
        assert done.state == "succeeded", done.problem
        content = client.result(job)
    assert done.measures is not None
    assert outside_difference(room(), Image.open(io.BytesIO(content)), carpet(), done.measures.paste_margin_px) == 0
    return content


def test_every_service_is_healthy(stack: Stack) -> None:
    services = stack.services()
    assert {name: services[name]["Health"] for name in (*OURS, *SERVERS)} == dict.fromkeys((*OURS, *SERVERS), "healthy")
    assert services["s3-bucket"]["ExitCode"] == 0


def test_without_a_key_nothing_opens(stack: Stack) -> None:
    assert stack.key
    assert httpx.get(f"{URL}/v1/models").status_code == 401


def test_an_edit_with_a_key(stack: Stack, edit: Callable[..., Edit]) -> None:
    finished(stack, edit().id)


def test_the_deploy_pages_secrets_are_enough(stack: Stack, tmp_path: Path) -> None:
    shutil.copy(ROOT / ".env.example", tmp_path)
    subprocess.run(["sh", "-euc", command_of("cp .env.example")], cwd=tmp_path, check=True)
    arguments = ("--project-directory", str(ROOT), "--env-file", str(tmp_path / ".env"), "--profile", "gpu")
    stack.engine.docker("compose", *arguments, "config", "--quiet")


def test_the_deploy_pages_edit(stack: Stack, pictures: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copy(pictures[0], tmp_path / "photo.png")
    shutil.copy(pictures[1], tmp_path / "mask.png")
    command = command_of("curl").replace("curl ", "curl --silent --show-error ", 1)
    environment = {"PATH": os.environ["PATH"], "KEY": stack.key}
    said = subprocess.run(
        ["sh", "-euc", command], cwd=tmp_path, env=environment, capture_output=True, check=True
    ).stdout
    with stack.client() as client:
        assert client.wait(json.loads(said)["id"]).state == "succeeded"


@pytest.mark.parametrize("name", [*OURS, *SERVERS])
def test_containers_are_hardened(stack: Stack, name: str) -> None:
    found = stack.inspect(name)
    host = found["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert min(host["Memory"], host["NanoCpus"], host["PidsLimit"]) > 0
    assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "5"}
    assert stack.run(name, "id", "-u").strip() != "0"
    assert stack.run(name, "sh", "-c", "touch /usr/x || echo refused").strip() == "refused"


def test_secrets_are_on_no_command_line(stack: Stack) -> None:
    # Every process of every container is in this process namespace.
    lines = [each.read_bytes() for each in Path("/proc").glob("[0-9]*/cmdline")]
    assert any(b"redis-server" in line for line in lines)
    for name in ("REDIS_PASSWORD", "S3_SECRET_ACCESS_KEY"):
        assert not [line for line in lines if SECRETS[name].encode() in line]
    assert stack.run("redis", "sh", "-c", "REDISCLI_AUTH= redis-cli ping").startswith("NOAUTH")


def test_redis_refuses_before_it_is_killed(stack: Stack) -> None:
    said = stack.run("redis", "redis-cli", "config", "get", "maxmemory*").split()
    settings = dict(zip(said[::2], said[1::2], strict=True))
    assert settings["maxmemory-policy"] == "noeviction"
    assert 0 < int(settings["maxmemory"]) < stack.inspect("redis")["HostConfig"]["Memory"] / 2


def test_the_s3_servers_inner_parts_are_its_own(stack: Stack) -> None:
    opened = [line for line in stack.run("service", "python", "-c", KNOCK).splitlines() if line.endswith("True")]
    assert opened == ["8333 True", "18333 True"]


def test_who_has_no_key_to_the_pictures_does_not_reach_them(stack: Stack) -> None:
    for name in ("redis", "deliverer"):
        assert "s3" in stack.run("service", "getent", "hosts", "s3")
        assert stack.run(name, "sh", "-c", "getent hosts s3 || echo unknown").strip() == "unknown"


def test_the_s3_server_takes_the_room_that_pictures_need(stack: Stack) -> None:
    mebibytes = int(stack.run("s3", "du", "-sm", "/data").split()[0])
    assert mebibytes < 100


def test_a_checkpoint_can_be_downloaded(stack: Stack) -> None:
    stack.run("worker-cpu", "sh", "-c", "mkdir -p $HF_HOME/hub && touch $HF_HOME/hub/checkpoint")


def test_liveness_asks_no_redis(stack: Stack) -> None:
    stack.compose("pause", "redis")
    try:
        for name in ("reaper", "deliverer"):
            stack.run(name, "python", "-m", "worker.alive")
    finally:
        stack.compose("unpause", "redis")


def test_a_worker_killed_mid_edit_costs_no_edit(stack: Stack, pictures: tuple[Path, Path]) -> None:
    with stack.client() as client:
        submitted = client.submit(pictures[0], [pictures[1]], **PROMPTS, steps=60, max_iterations=2)
        wait_until(lambda: client.get(submitted.id).state == "running", 60, "the edit runs")
        os.kill(stack.inspect("worker-cpu")["State"]["Pid"], signal.SIGKILL)
        say("worker killed")
        done = client.wait(submitted.id)
    assert done.attempt == 2
    finished(stack, submitted.id)
    assert stack.inspect("worker-cpu")["RestartCount"] == 1


def test_up_a_second_time(stack: Stack) -> None:
    before = {name: stack.inspect(name)["Id"] for name in OURS}
    stack.up()
    assert {name: stack.inspect(name)["Id"] for name in OURS} == before


def test_edits_survive_a_restart_of_the_stack(stack: Stack, edit: Callable[..., Edit]) -> None:
    job = edit().id
    digest = sha256(finished(stack, job))
    began = time.monotonic()
    stack.compose("stop")
    say(f"stopped in {time.monotonic() - began:.0f} s")
    # 137: killed, for it did not stop by itself.
    codes = {name: stack.inspect(name)["State"]["ExitCode"] for name in (*OURS, *SERVERS)}
    assert 137 not in codes.values(), codes
    stack.up()
    assert sha256(finished(stack, job)) == digest


def test_a_checkpoint_of_ones_own(stack: Stack, edit: Callable[..., Edit]) -> None:
    stack.variables |= {
        "MODELS_FOLDER": str(stack.folder / "models"),
        "MAGEDIT_CHECKPOINT": "/models/mine",
        "MAGEDIT_MODEL": "mine",
    }
    stack.up()
    done = edit()
    assert done.model == "mine"
    finished(stack, done.id)
