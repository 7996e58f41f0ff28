"""Dockerfile and docker-compose.yml are true of the project. No container engine runs here."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_settings import SettingsError

from cli.__main__ import app
from cli.workers import PROCESS_EXIT_S
from jobs.settings import Settings, is_loopback

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: each for name, each in SERVICES.items() if "build" in each}
VARIABLES = {f"MAGEDIT_{name.upper()}" for name in Settings.model_fields}


def stages() -> dict[str, list[str]]:
    """The instructions of each stage of the Dockerfile, by its name."""
    found: dict[str, list[str]] = {}
    for line in DOCKERFILE.splitlines():
        if start := re.match(r"FROM \S+ AS (\w+)", line):
            found[start[1]] = current = []
        if found and line.strip() and not line.startswith("#"):
            current.append(line)
    return found


STAGES = stages()
TARGETS = ("service", "worker")


def instructions(stage: str, name: str) -> list[str]:
    return [line.split(maxsplit=1)[1] for line in STAGES[stage] if line.startswith(name + " ")]


def modules(text: str) -> Iterator[str]:
    """The modules that `python -m` runs in a command."""
    yield from re.findall(r'"-m", "([\w.]+)"', text.replace("'", '"'))


def images() -> Iterator[str]:
    yield from re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    yield from (each["image"] for each in SERVICES.values() if "build" not in each)


def test_both_targets_are_there() -> None:
    assert set(STAGES) == {"wheel", *TARGETS}


@pytest.mark.parametrize("image", sorted(set(images())))
def test_images_are_pinned(image: str) -> None:
    tag = image.rpartition(":")[2]
    assert re.match(r"v?\d+\.\d+", tag), f"{image} names no version"


def test_copied_paths_exist() -> None:
    for stage, lines in STAGES.items():
        for line in lines:
            if line.startswith("COPY ") and "--from" not in line:
                *sources, _ = shlex.split(line)[1:]
                for source in sources:
                    assert (ROOT / source).exists(), (stage, source)


def test_every_package_is_in_the_wheel() -> None:
    copied = " ".join(instructions("wheel", "COPY"))
    for pattern in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"][
        "include"
    ]:
        assert f"./{pattern.rstrip('*')}" in copied
    assert {PROJECT["readme"], *PROJECT["license-files"]} <= set(shlex.split(copied))


def test_nothing_secret_reaches_an_image() -> None:
    assert "COPY . " not in DOCKERFILE


@pytest.mark.parametrize("target", TARGETS)
def test_extras_and_constraints(target: str) -> None:
    run = " ".join(instructions(target, "RUN"))
    (extras,) = re.findall(r"magedit\[([\w,]+)\]", run)
    assert extras.split(",") == [target, "tracing"]
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    assert "--constraint /tmp/constraints.txt" in run
    assert "constraints.txt /tmp/constraints.txt" in instructions(target, "COPY")


def test_the_front_ends_extra_has_no_torch() -> None:
    for requirement in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["service"]):
        assert not re.match(r"torch|diffusers|transformers|accelerate", requirement)


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_runs_as_root(target: str) -> None:
    (user,) = instructions(target, "USER")
    assert f"--uid 10001 --create-home --shell /usr/sbin/nologin {user}" in " ".join(instructions(target, "RUN"))
    after = STAGES[target][[line.startswith("USER") for line in STAGES[target]].index(True) :]
    assert not any(line.startswith(("RUN", "COPY")) for line in after)


@pytest.mark.parametrize("target", TARGETS)
def test_targets_have_health_checks_and_commands(target: str) -> None:
    assert len(instructions(target, "HEALTHCHECK")) == 1
    assert list(modules(instructions(target, "CMD")[0])) == [target]


def test_entry_points_exist() -> None:
    commands = [*instructions("service", "CMD"), *instructions("worker", "CMD"), *instructions("worker", "HEALTHCHECK")]
    commands += [str(each.get("command", "")) for each in OURS.values()]
    found = {module for command in commands for module in modules(command)}
    assert {"service", "worker", "worker.webhooks", "worker.health", "worker.reaper"} == found
    for module in found:
        name = f"{module}.__main__" if module in {"service", "worker"} else module
        assert importlib.util.find_spec(name) is not None, module


def test_what_runs_in_the_image_without_torch_needs_none() -> None:
    absent = ["torch", "diffusers", "transformers", "accelerate", "safetensors", "numpy"]
    code = (
        f"import sys\nsys.modules.update(dict.fromkeys({absent}))\nimport service.__main__, worker.reaper, cli.__main__"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def environment(service: dict[str, Any]) -> dict[str, str]:
    found = service.get("environment", {})
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting(name: str) -> None:
    known = environment(OURS[name])
    assert known
    assert set(known) <= VARIABLES


@pytest.mark.parametrize("target", TARGETS)
def test_every_variable_of_the_images_is_a_setting(target: str) -> None:
    found = re.findall(r"\b(MAGEDIT_\w+)=", "\n".join(instructions(target, "ENV")))
    assert set(found) <= VARIABLES


@pytest.mark.parametrize("name", OURS)
def test_the_settings_accept_what_compose_gives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in environment(OURS[name]).items():
        monkeypatch.setenv(variable, re.sub(r"\$\{[^}]+\}", "secret", str(value)))
    try:
        settings = Settings()
    except SettingsError as error:
        pytest.fail(str(error))
    assert settings.redis_url == "redis://:secret@redis:6379/0"
    assert settings.storage_url is not None
    assert settings.storage_url.startswith("s3://magedit/")


def test_ports_agree() -> None:
    env = dict(re.findall(r"(MAGEDIT_\w+)=(\S+)", "\n".join(instructions("service", "ENV"))))
    port = env["MAGEDIT_API_PORT"]
    assert instructions("service", "EXPOSE") == [port]
    assert f":{port}/livez" in instructions("service", "HEALTHCHECK")[0]
    assert environment(SERVICES["service"])["MAGEDIT_API_PORT"] == port
    (published,) = SERVICES["service"]["ports"]
    assert published == f"127.0.0.1:{port}:{port}"
    assert str(Settings().api_port) == port


def test_who_reaches_it_needs_a_key() -> None:
    env = dict(re.findall(r"(MAGEDIT_\w+)=(\S+)", "\n".join(instructions("service", "ENV"))))
    given = environment(SERVICES["service"])
    for host, auth in (
        (env["MAGEDIT_API_HOST"], env["MAGEDIT_AUTH"]),
        (given["MAGEDIT_API_HOST"], given["MAGEDIT_AUTH"]),
    ):
        assert not is_loopback(host)
        assert auth == "keys"
    assert "MAGEDIT_ALLOW_ANONYMOUS" not in (ROOT / "docker-compose.yml").read_text() + DOCKERFILE


def test_nothing_but_the_front_end_is_published() -> None:
    assert [name for name, each in SERVICES.items() if "ports" in each] == ["service"]


def test_redis_keeps_what_it_accepts() -> None:
    command = SERVICES["redis"]["command"]
    for option in ("--requirepass", "--appendonly yes", "--appendfsync always", "--maxmemory-policy noeviction"):
        assert option in command
    assert SERVICES["redis"]["volumes"] == ["redis:/data"]


def test_the_bucket_is_made_before_it_is_used() -> None:
    bucket = re.match(r"s3://([^/]+)/", environment(SERVICES["service"])["MAGEDIT_STORAGE_URL"])
    assert bucket is not None
    assert f"s3.bucket.create -name {bucket[1]}" in SERVICES["s3-bucket"]["entrypoint"][-1]
    assert f"Write:{bucket[1]}" in COMPOSE["configs"]["s3-identities"]["content"]
    for each in OURS.values():
        assert each["depends_on"]["s3-bucket"]["condition"] == "service_completed_successfully"
        assert each["depends_on"]["redis"]["condition"] == "service_healthy"


def test_a_gpu_is_reserved_and_a_cpu_will_do() -> None:
    (device,) = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert SERVICES["worker-gpu"]["profiles"] == ["gpu"]
    assert SERVICES["worker-cpu"]["profiles"] == ["cpu"]
    assert environment(SERVICES["worker-cpu"])["MAGEDIT_DEVICE"] == "cpu"
    assert "profiles" not in SERVICES["reaper"]


def test_workers_have_time_to_hand_back() -> None:
    for name in ("worker-gpu", "worker-cpu"):
        grace_s = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        assert grace_s > Settings().stop_grace_s + PROCESS_EXIT_S


def test_workers_are_supervised_inside_and_outside() -> None:
    for name in ("worker-gpu", "worker-cpu"):
        program, *arguments = SERVICES[name]["command"]
        assert program in PROJECT["scripts"]
        assert arguments[0] in {each.callback.__name__ for each in app.registered_commands if each.callback}
        assert SERVICES[name]["restart"] == "unless-stopped"


def test_every_secret_is_asked_for_in_the_example() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    asked = set(re.findall(r"\$\{(\w+)", text))
    given = {line.split("=")[0] for line in (ROOT / ".env.example").read_text().splitlines() if "=" in line}
    assert asked == {name for name in given if not name.startswith("#")}
    assert all(f"${{{name}:?" in text for name in asked)


def test_versions_agree() -> None:
    for each in OURS.values():
        assert each["image"].rpartition(":")[2] == PROJECT["version"]
        assert each["build"]["target"] in TARGETS


def test_volumes_are_declared() -> None:
    used = {volume.split(":")[0] for each in SERVICES.values() for volume in each.get("volumes", [])}
    assert used == set(COMPOSE["volumes"])
