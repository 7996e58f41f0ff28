"""The images, built once; the compose file, started with awkward secrets."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from magedit.client import Client, Edit
from magedit.demo import checkpoint_path
from tests.containers import bases
from tests.containers.engine import HOST_NETWORK, Engine

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "containers"
URL = "http://127.0.0.1:8000"
SECRETS = {
    "REDIS_PASSWORD": "p/a@s:s#w%25?d&e\"f\\g'h",
    "S3_ACCESS_KEY_ID": "magedit",
    "S3_SECRET_ACCESS_KEY": 's/e@c:r#e%25+t&="x\\y',
}
PROMPTS: dict[str, Any] = {"source_prompt": "a room with a red carpet", "target_prompt": "a room with a yellow carpet"}
QUICK: dict[str, Any] = {"steps": 4, "max_iterations": 1}


def say(what: str) -> None:
    """A line of progress, among the tests' own."""
    print(f"[containers {time.strftime('%H:%M:%S')}] {what}", flush=True)  # noqa: T201


def quoted(value: str) -> str:
    """A value for an env file of Compose, as it is."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


@dataclass(frozen=True)
class Images:
    """The images by target, and what building them said after a change of the source."""

    engine: Engine
    tags: dict[str, str]
    again: dict[str, str]


@dataclass
class Stack:
    """The compose file at work."""

    engine: Engine
    folder: Path
    variables: dict[str, str] = field(default_factory=lambda: dict(SECRETS))
    key: str = ""

    def compose(self, *arguments: str, check: bool = True) -> str:
        """Run `docker compose`; its standard output."""
        file = self.folder / "env"
        file.write_text("".join(f"{name}={quoted(value)}\n" for name, value in self.variables.items()))
        command = ("compose", "--project-directory", str(ROOT), "--env-file", str(file), "--profile", "cpu")
        return self.engine.docker(*command, *arguments, check=check).stdout

    def up(self) -> None:
        """Start what does not run, and wait until all of it is well."""
        self.compose("up", "--detach", "--no-build", "--pull=never", "--wait", "--wait-timeout=1500")

    def services(self) -> dict[str, dict[str, Any]]:
        """State and health by service."""
        lines = self.compose("ps", "--all", "--format=json").splitlines()
        return {each["Service"]: each for each in map(json.loads, lines)}

    def run(self, service: str, *command: str, check: bool = True) -> str:
        """Run a command in a service's container; its standard output."""
        return self.compose("exec", "--no-TTY", service, *command, check=check)

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine knows of a service's container."""
        return self.engine.inspect(f"magedit-{service}-1")

    def client(self) -> Client:
        """A caller with a key, by the published port."""
        return Client(URL, key=self.key)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    if HOST_NETWORK not in os.environ:
        pytest.skip("`make containers` runs these")
    compose = (ROOT / "docker-compose.yml").read_text()
    named = {name: re.search(rf"\$\{{{name}_IMAGE:-([^}}]+)\}}", compose) for name in ("REDIS", "SEAWEEDFS")}
    python = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert python
    redis, seaweed = (found[1] for found in named.values() if found)
    CACHE.mkdir(parents=True, exist_ok=True)
    engine = Engine(CACHE)
    say("engine")
    engine.install()
    services = yaml.safe_load(compose)["services"]
    tags = {each["build"]["target"]: each["image"] for each in services.values() if "build" in each}
    with engine.running("host"):
        say("stand-ins of the base images")
        bases.make(engine, python[1], redis, seaweed)
        again = {}
        for target, tag in tags.items():
            say(f"image of {target}")
            engine.build(tag, ROOT, f"--target={target}")
        changed = tmp_path_factory.mktemp("source") / "changed"
        for name in ("Dockerfile", ".dockerignore", "pyproject.toml", "README.md", "LICENSE", *CONSTRAINTS):
            changed.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, changed)
        for name in ("magedit", "jobs", "service", "worker", "cli"):
            shutil.copytree(ROOT / name, changed / name, ignore=shutil.ignore_patterns("__pycache__"))
        (changed / "jobs" / "__init__.py").write_text(f"# A change that no earlier run has built: {uuid4()}\n")
        for target in tags:
            say(f"image of {target} after a change of the source")
            again[target] = engine.build(f"changed-{target}", changed, f"--target={target}")
    return Images(engine, tags, again)


CONSTRAINTS = ("constraints.txt", "constraints-cuda.txt")


@pytest.fixture(scope="session")
def stack(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    engine, folder = images.engine, tmp_path_factory.mktemp("stack")
    (folder / "models").mkdir()
    shutil.copytree(checkpoint_path(), folder / "models" / "mine")
    folder.chmod(0o755)
    with engine.running("own"):
        running = Stack(engine, folder)
        running.compose("down", "--volumes")  # what a killed run left
        say("up")
        try:
            running.up()
            said = running.run("service", "magedit", "keys", "create", "--tenant", "acme")
            key = re.search(r"mge_\S+", said)
            assert key, said
            running.key = key[0]
            yield running
        finally:
            for name in running.services():
                logs = running.compose("logs", "--no-color", "--tail=200", name, check=False)
                (CACHE / f"{name}.log").write_text(logs)
            say("down")
            running.compose("down", "--volumes")


@pytest.fixture
def edit(stack: Stack, pictures: tuple[Path, Path]) -> Callable[..., Edit]:
    """Submit an edit and wait for its end."""

    def made(**fields: Any) -> Edit:
        with stack.client() as client:
            submitted = client.submit(pictures[0], [pictures[1]], **{**PROMPTS, **QUICK, **fields})
            return client.wait(submitted.id)

    return made


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    from tests.e2e.conftest import carpet, room

    folder = tmp_path_factory.mktemp("pictures")
    room().save(folder / "room.png")
    carpet().save(folder / "carpet.png")
    return folder / "room.png", folder / "carpet.png"
