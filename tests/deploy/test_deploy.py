"""Dockerfile and docker-compose.yml are true of the project; `make containers` starts them."""

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
from pydantic import SecretStr
from pydantic_settings import SettingsError

from cli.__main__ import app
from cli.processes.workers import PROCESS_EXIT_S
from jobs.settings import Settings
from jobs.settings.front_end import is_loopback

ROOT = Path(__file__).parents[2]
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


def default(text: str) -> str:
    """What Compose makes of a value where no variable is set."""
    return re.sub(r"\$\{\w+:-((?:[^${}]|\$\{[^}]*\})*)\}", lambda found: default(found[1]), text)


def images() -> Iterator[str]:
    yield from re.findall(r"^ARG PYTHON_IMAGE=(\S+)", DOCKERFILE, re.MULTILINE)
    yield from (default(each["image"]) for each in SERVICES.values() if "build" not in each)


def test_both_targets_are_there() -> None:
    assert set(STAGES) == {"requirements", "wheel", "base", *TARGETS}


def test_both_images_have_one_base() -> None:
    bases = dict(re.findall(r"^FROM (\S+) AS (\w+)", DOCKERFILE, re.MULTILINE))
    assert bases == {"${PYTHON_IMAGE}": "base", "base": "worker"}
    assert DOCKERFILE.count("FROM base AS ") == 2
    assert "# syntax=" not in DOCKERFILE  # it would ask a registry for another builder


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
    sources = {word.removeprefix("./") for word in shlex.split(copied)}
    for file in (PROJECT["readme"], *PROJECT["license-files"]):
        assert sources & {file, *map(str, Path(file).parents)} - {"."}, file


def test_nothing_secret_reaches_an_image() -> None:
    assert "COPY . " not in DOCKERFILE


@pytest.mark.parametrize("target", TARGETS)
def test_requirements_are_constrained_and_come_before_the_source(target: str) -> None:
    requirements, wheel = (line for line in instructions(target, "RUN") if "pip install" in line)
    assert f"source=/requirements/{target}.txt" in requirements
    assert "from=wheel" not in requirements
    assert "--no-deps" in wheel
    files = {"constraints.txt", "constraints-cuda.txt"} if target == "worker" else {"constraints.txt"}
    assert set(re.findall(r"--constraint /tmp/(\S+)", requirements)) == files
    assert instructions("base", "COPY") == ["constraints.txt constraints-cuda.txt /tmp/"]


def test_the_requirements_are_the_projects(tmp_path: Path) -> None:
    program = re.search(r"RUN python <<END\n(.*?)\nEND\n", (ROOT / "Dockerfile").read_text(), re.DOTALL)
    assert program
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    subprocess.run([sys.executable, "-c", program[1]], cwd=tmp_path, check=True)
    extras = PROJECT["optional-dependencies"]
    for target in TARGETS:
        names = (tmp_path / f"{target}.txt").read_text().splitlines()
        assert names == [*PROJECT["dependencies"], *extras[target], *extras["tracing"]]


def pins(file: str) -> dict[str, str]:
    lines = (line for line in (ROOT / file).read_text().splitlines() if not line.startswith("#"))
    return {name: version for name, _, version in (line.partition("==") for line in lines)}


def test_cuda_packages_are_pinned_once() -> None:
    cuda, common = pins("constraints-cuda.txt"), pins("constraints.txt")
    assert not set(cuda) & set(common)
    assert all(cuda.values())
    for needed in ("nvidia-cublas", "nvidia-cudnn-cu13", "nvidia-nccl-cu13", "cuda-toolkit", "triton"):
        assert needed in cuda
    # The driver that the image asks for is that of its CUDA libraries.
    (required,) = re.findall(r'NVIDIA_REQUIRE_CUDA="cuda>=(\d+)\.0"', DOCKERFILE)
    assert cuda["cuda-toolkit"].split(".")[0] == required


def test_the_front_ends_extra_has_no_torch() -> None:
    for requirement in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["service"]):
        assert not re.match(r"torch|diffusers|transformers|accelerate", requirement)


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_runs_as_root(target: str) -> None:
    # By number: Kubernetes' runAsNonRoot reads no names.
    assert instructions(target, "USER") == ["10001:10001"]
    assert "useradd --uid 10001 --gid 10001 --create-home" in " ".join(instructions("base", "RUN"))
    after = STAGES[target][[line.startswith("USER") for line in STAGES[target]].index(True) :]
    assert not any(line.startswith(("RUN", "COPY")) for line in after)


@pytest.mark.parametrize("target", TARGETS)
def test_targets_have_health_checks_and_commands(target: str) -> None:
    assert len(instructions(target, "HEALTHCHECK")) == 1
    assert list(modules(instructions(target, "CMD")[0])) == [target]


def test_entry_points_exist() -> None:
    commands = [*instructions("service", "CMD"), *instructions("worker", "CMD"), *instructions("worker", "HEALTHCHECK")]
    commands += [str(each.get("command", "")) for each in OURS.values()]
    commands += [str(each["healthcheck"]["test"]) for each in OURS.values() if "healthcheck" in each]
    found = {module for command in commands for module in modules(command)}
    assert {"service", "worker", "worker.alive", "worker.health", "worker.reaper", "worker.webhooks"} == found
    for module in found:
        name = f"{module}.__main__" if module in {"service", "worker"} else module
        assert importlib.util.find_spec(name) is not None, module


def test_the_front_end_image_needs_no_torch() -> None:
    absent = ["torch", "diffusers", "transformers", "accelerate", "safetensors", "numpy", "peft", "shapely"]
    code = (
        f"import sys\nsys.modules.update(dict.fromkeys({absent}))\nimport service.__main__, worker.reaper, cli.__main__"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


OTHERS = {"HF_TOKEN"}
"""Variables that libraries read."""


def environment(service: dict[str, Any]) -> dict[str, str | None]:
    """None: passed on if it is set."""
    found = service.get("environment", {})
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting(name: str) -> None:
    known = environment(OURS[name])
    assert known
    assert set(known) - OTHERS <= VARIABLES


@pytest.mark.parametrize("target", TARGETS)
def test_every_variable_of_the_images_is_a_setting(target: str) -> None:
    found = re.findall(r"\b(MAGEDIT_\w+)=", "\n".join(instructions(target, "ENV")))
    assert set(found) <= VARIABLES


@pytest.mark.parametrize("name", OURS)
def test_the_settings_accept_the_compose_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in environment(OURS[name]).items():
        if value is not None:
            monkeypatch.setenv(variable, re.sub(r"\$\{\w+:\?[^}]+\}", "a/b@c", default(value)))
    try:
        settings = Settings()
    except SettingsError as error:
        pytest.fail(str(error))
    assert settings.redis_url == "redis://redis:6379/0"
    assert settings.redis_password == SecretStr("a/b@c")
    assert settings.storage_url == (None if name == "deliverer" else "s3://magedit/edits")


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
        assert host is not None
        assert not is_loopback(host)
        assert auth == "keys"
    assert "MAGEDIT_ALLOW_ANONYMOUS" not in (ROOT / "docker-compose.yml").read_text() + DOCKERFILE


def test_nothing_but_the_front_end_is_published() -> None:
    assert [name for name, each in SERVICES.items() if "ports" in each] == ["service"]


def test_redis_keeps_what_it_accepts() -> None:
    (script,) = SERVICES["redis"]["command"]
    for line in ("dir /data", "appendonly yes", "appendfsync always", "maxmemory-policy noeviction"):
        assert line in script.splitlines()
    assert SERVICES["redis"]["volumes"] == ["redis:/data"]


def test_the_bucket_is_made_before_it_is_used() -> None:
    bucket = re.match(r"s3://([^/]+)/", str(environment(SERVICES["service"])["MAGEDIT_STORAGE_URL"]))
    assert bucket is not None
    assert f"s3.bucket.create -name {bucket[1]}" in SERVICES["s3-bucket"]["command"][0]
    assert f"Write:{bucket[1]}" in SERVICES["s3"]["command"][0]
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


def test_the_example_names_every_variable() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    required = set(re.findall(r"\$\{(\w+):\?", text))
    passed = {name for each in OURS.values() for name, value in environment(each).items() if value is None}
    passed |= {name for each in OURS.values() for name in each["build"]["args"]}
    lines = [line for line in (ROOT / ".env.example").read_text().splitlines() if re.match(r"#?\w+=", line)]
    given = {line.partition("=")[0] for line in lines}
    assert required == {name for name in given if not name.startswith("#")}
    assert set(re.findall(r"\$\{(\w+)", text)) | passed == {name.removeprefix("#") for name in given}


def test_the_examples_values_are_the_defaults() -> None:
    text = (ROOT / "docker-compose.yml").read_text() + DOCKERFILE.replace("ARG PYTHON_IMAGE=", "${PYTHON_IMAGE:-")
    for name in ("WORKER_MEMORY", "REDIS_MAXMEMORY", "REDIS_IMAGE", "SEAWEEDFS_IMAGE", "PYTHON_IMAGE"):
        (value,) = re.findall(rf"^#{name}=(\S+)", (ROOT / ".env.example").read_text(), re.MULTILINE)
        assert f"${{{name}:-{value}" in text


def test_versions_agree() -> None:
    for each in OURS.values():
        assert each["image"].rpartition(":")[2] == PROJECT["version"]
        assert each["build"]["target"] in TARGETS


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_hardened_and_limited(name: str) -> None:
    each = SERVICES[name]
    assert each["read_only"] is True
    assert each["cap_drop"] == ["ALL"]
    assert {"mem_limit", "cpus", "pids_limit", "logging"} <= set(each)


def test_servers_are_reachable_where_needed_and_reach_nothing() -> None:
    assert COMPOSE["networks"] == {"queue": {"internal": True}, "storage": {"internal": True}}
    assert (SERVICES["redis"]["networks"], SERVICES["s3"]["networks"]) == (["queue"], ["storage"])
    for name, each in OURS.items():
        told = environment(each)
        assert ("queue" in each["networks"]) == ("MAGEDIT_REDIS_URL" in told)
        assert ("storage" in each["networks"]) == ("MAGEDIT_S3_ENDPOINT" in told), name


def test_volumes_are_declared() -> None:
    used = {default(volume).split(":")[0] for each in SERVICES.values() for volume in each.get("volumes", [])}
    assert used == set(COMPOSE["volumes"])


PAGE = (ROOT / "docs" / "deploy.md").read_text()
OVERRIDES = [
    yaml.safe_load(block) for block in re.findall(r"^```yaml\n(services:\n.*?)```", PAGE, re.DOTALL | re.MULTILINE)
]


def test_the_documented_overrides_exist() -> None:
    assert len(OVERRIDES) >= 3
    for override in OVERRIDES:
        for name, each in override["services"].items():
            assert name in SERVICES
            assert set(environment(each)) <= VARIABLES
            assert set(each.get("networks", ())) <= {"default", *COMPOSE["networks"]}


def test_the_documented_images_and_variables_are_the_composes() -> None:
    for name, image in re.findall(r"^(\w+_IMAGE)=(\S+)@sha256:", PAGE, re.MULTILINE):
        assert f"#{name}={image}\n" in (ROOT / ".env.example").read_text()
    example = (ROOT / ".env.example").read_text()
    for name in re.findall(r"^(?:#?)([A-Z][A-Z0-9_]+)=", PAGE, re.MULTILINE):
        assert re.search(rf"^#?{name}=", example, re.MULTILINE), name
