"""Real servers for every test that needs one: Redis, and S3 by rclone. Each is started once and stopped by pid."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck
from hypothesis import settings as examples
from pydantic import SecretStr
from redis import Redis

from cli.processes.embedded_redis import EmbeddedRedis
from cli.processes.stack import Stack
from jobs.settings import Settings

CHECKPOINT = Path(__file__).parent / "data" / "tiny-checkpoint"
"""A real model with random weights."""
S3_KEY, S3_SECRET, S3_BUCKET = "test-key", "test-secret", "bucket"
PATIENCE_S = 180.0
"""How long a test waits for what must happen: on a machine however busy, only a hang takes longer."""


# Hypothesis times every example and the making of it, which a busy machine fails.
examples.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
examples.load_profile("any machine")


LONGEST = ("tests/soak/test_soak.py", "tests/worker/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest files first, so that at the end no process waits for another one's."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


def pytest_collection_finish() -> None:
    """Exempt what the imports created from every later garbage collection: it stays to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _leaks_fail_in_their_file() -> Iterator[None]:
    """A socket or file that a test left open is reported when it is collected: in its own file, not in a later one."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine's reaches a test."""
    for name in list(os.environ):
        if name.startswith("MAGEDIT_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _quiet_logs() -> None:
    """What servers in threads log between two tests does not end up in the report."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())


def wait_until(condition: Callable[[], bool], timeout_s: float = PATIENCE_S, what: str = "") -> None:
    """Return as soon as ``condition()`` holds; fail after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what or condition}"
        time.sleep(0.01)


def free_port() -> int:
    """A TCP port of loopback that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether something accepts connections on this port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(command: list[str], **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is stopped on leaving."""
    process = subprocess.Popen(command, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A Redis server with its data in ``folder``; its address."""
    embedded = EmbeddedRedis(folder)
    program = embedded.program()
    with running(list(program.command), stdout=subprocess.DEVNULL):
        wait_until(embedded.answers, what="Redis")
        yield embedded.url


@pytest.fixture(scope="session")
def redis_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One Redis server for all tests."""
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def redis_url(redis_session: str) -> str:
    """The address of an empty Redis server."""
    with Redis.from_url(redis_session) as redis:
        redis.flushall()
    return redis_session


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real S3 server (rclone) with the bucket `S3_BUCKET`."""
    folder = tmp_path_factory.mktemp("s3")
    (folder / S3_BUCKET).mkdir()
    port = free_port()
    program = shutil.which("rclone") or str(Path(sys.executable).parent / "rclone")
    command = [program, "serve", "s3", f"--auth-key={S3_KEY},{S3_SECRET}", "--addr", f"127.0.0.1:{port}"]
    with running([*command, "--config=", str(folder)], stderr=subprocess.DEVNULL):
        wait_until(lambda: listens(port), what="S3 server")
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def s3_stack(s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack whose pictures are on a real S3 server."""
    settings = Settings(
        api_port=0,
        state_dir=tmp_path_factory.mktemp("stack"),
        checkpoint=str(CHECKPOINT),
        device="cpu",
        storage_url=f"s3://{S3_BUCKET}/e2e",
        s3_endpoint=s3_endpoint,
        s3_access_key_id=S3_KEY,
        s3_secret_access_key=SecretStr(S3_SECRET),
    )
    with Stack(settings, workers=1, embedded=True) as stack:
        stack.wait_ready()
        yield stack


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    """Settings of a service on an empty Redis server, with everything else in the test's folder."""
    return Settings(redis_url=redis_url, state_dir=tmp_path / "state")


@pytest.fixture
def s3_settings(settings: Settings, s3_endpoint: str, tmp_path: Path) -> Settings:
    """The same, with its pictures on the S3 server under a prefix of the test's own."""
    return settings.model_copy(
        update={
            "storage_url": f"s3://{S3_BUCKET}/{tmp_path.name}",
            "s3_endpoint": s3_endpoint,
            "s3_access_key_id": S3_KEY,
            "s3_secret_access_key": SecretStr(S3_SECRET),
        }
    )


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie that waits for its parent does not)."""
    return _stat(pid)[0] not in {"", "Z"}


def command_line(pid: int) -> str:
    """The command that the process runs; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def descendants(pid: int) -> list[int]:
    """The processes that ``pid`` started, and those that they started."""
    parents = {int(each.name): _stat(int(each.name))[1] for each in Path("/proc").iterdir() if each.name.isdigit()}
    found = [pid]
    for parent in found:
        found += [child for child, its_parent in parents.items() if its_parent == parent]
    return found[1:]


def _stat(pid: int) -> tuple[str, int]:
    """State and parent of a process (proc(5)); ("", 0) if there is none."""
    try:
        state, parent, *_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "", 0
    return state, int(parent)
