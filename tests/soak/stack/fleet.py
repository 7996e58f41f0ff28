"""The service under soak: Redis, S3 server, front ends, workers and a reaper as processes, proxies between them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import httpx
from pydantic import SecretStr

from cli.processes.embedded_redis import EmbeddedRedis
from jobs.settings import Settings
from tests.conftest import S3_BUCKET, S3_KEY, S3_SECRET, free_port, listens, wait_until
from tests.soak.evidence.journal import Journal
from tests.soak.plan import Plan, clock_skew_s
from tests.soak.stack.disk import SmallDisk
from tests.soak.stack.proxy import Proxy
from tests.worker.conftest import CHECKPOINT, environment

SAMPLE_SIZE = 16
"""Side of the checkpoint's latents: a quarter of the work of the one that the other tests use."""

READY_S = 900.0
"""Longest wait for the first start, in seconds: it imports torch."""


class Process:
    """A program that is started, killed and started again; none outlives this process (`cli.processes.child`)."""

    def __init__(self, name: str, command: list[str], env: Mapping[str, str], log: Path) -> None:
        self.name, self._command, self._env, self._log = name, command, env, log
        self._process: subprocess.Popen[bytes] | None = None
        self.down_until = 0.0
        """Monotonic seconds; it is not started before."""

    @property
    def pid(self) -> int:
        """Of the present process, 0 if there is none."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start it."""
        command = [sys.executable, "-m", "cli.processes.child", str(os.getpid()), *self._command]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(command, env=self._env, stdout=output, stderr=output)

    def send(self, number: signal.Signals) -> None:
        """Signal it, if it is there."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self, down_s: float) -> None:
        """SIGKILL; it is to be away for ``down_s`` seconds at least."""
        self.down_until = time.monotonic() + down_s
        self.send(signal.SIGKILL)

    def ended(self) -> tuple[int, int] | None:
        """Process id and exit status, once; None while it runs or when that was told before."""
        if self._process is None or (status := self._process.poll()) is None:
            return None
        pid, self._process = self._process.pid, None
        return pid, status

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait for that."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(120)
            self._process = None


class Workers:
    """The fork server's client: worker processes by slot."""

    def __init__(self, count: int, folder: Path) -> None:
        self.pids: list[int] = [0] * count
        self._folder = folder
        self._errors = (folder / "zygote.log").open("ab")
        command = [
            sys.executable,
            "-m",
            "cli.processes.child",
            str(os.getpid()),
            sys.executable,
            "-m",
            "tests.soak.stack.zygote",
        ]
        self._zygote = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )

    def wait_ready(self) -> None:
        """Return when it has imported everything."""
        assert self._zygote.stdout is not None
        said = self._zygote.stdout.readline()
        assert said == "ready\n", f"the fork server ended; see {self._folder / 'zygote.log'}"

    def _ask(self, **request: object) -> Any:
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.write(json.dumps(request) + "\n")
        self._zygote.stdin.flush()
        return json.loads(self._zygote.stdout.readline())

    def gate(self, slot: int) -> Path:
        """While this file exists, the model of this slot's worker hangs."""
        return self._folder / f"worker-{slot}.gate"

    def start(self, slot: int, env: Mapping[str, str], skew_s: float) -> int:
        """Fork a worker; its process id."""
        gate = self.gate(slot)
        for file in (gate, gate.with_suffix(".hung")):
            file.unlink(missing_ok=True)
        log = str(self._folder / f"worker-{slot}.log")
        self.pids[slot] = self._ask(do="fork", environment=dict(env), log=log, skew_s=skew_s, gate=str(gate))
        return self.pids[slot]

    def send(self, slot: int, number: signal.Signals) -> bool:
        """Signal the slot's worker; whether it was there."""
        return bool(self._ask(do="signal", pid=self.pids[slot], number=int(number)))

    def ended(self) -> dict[int, tuple[int, int]]:
        """Slot -> process id and exit status of workers that ended since the last time."""
        ended = {self.pids.index(int(pid)): (int(pid), status) for pid, status in self._ask(do="reap").items()}
        for slot in ended:
            self.pids[slot] = 0
        return ended

    def close(self) -> None:
        """SIGTERM to every worker, SIGKILL to what stays, and end the fork server."""
        for number, patience_s in ((signal.SIGCONT, 0.0), (signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0)):
            for slot, pid in enumerate(self.pids):
                if pid:
                    self.send(slot, number)
            deadline = time.monotonic() + patience_s
            while any(self.pids) and time.monotonic() < deadline:
                self.ended()
                time.sleep(0.05)
        try:
            self._zygote.communicate(timeout=20)
        except BrokenPipeError:
            pass
        except subprocess.TimeoutExpired:
            # Every child is gone: there is nothing that it could still do.
            self._zygote.kill()
            self._zygote.wait()
        self._errors.close()


class Fleet:
    """Everything of one soak that runs; a context manager. What it keeps is in ``folder``, for the next one too."""

    def __init__(self, plan: Plan, folder: Path, journal: Journal) -> None:
        self.plan, self.folder, self.journal = plan, folder, journal
        self.embedded = EmbeddedRedis(folder / "redis")
        self.disk = SmallDisk(folder / "objects")
        self._starts = 0
        self._no_workers_until = 0.0
        self._left = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._left.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._left.close()

    def _open(self) -> None:
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        self.workers = Workers(self.plan.workers, logs)
        self._left.callback(self.workers.close)
        self._left.enter_context(self.disk)
        (self.disk.folder / S3_BUCKET).mkdir(exist_ok=True)
        self.redis = self._redis(logs)
        # A soak that was killed may still be stopping its server.
        self.embedded.wait_gone()
        storage_port = free_port()
        self.storage = self._storage(logs, storage_port)
        for process in (self.redis, self.storage):
            process.start()
            self._left.callback(process.stop)
        self.redis_proxy = self._left.enter_context(Proxy.to_socket(str(self.embedded.socket)))
        self.storage_proxy = self._left.enter_context(Proxy.to_port(storage_port))
        wait_until(self.embedded.answers, what="Redis")
        wait_until(lambda: listens(storage_port), what="storage")
        self.settings = self._settings(f"redis://127.0.0.1:{self.redis_proxy.port}/0", self.storage_proxy.port)
        self.direct = self._settings(self.embedded.url, storage_port)
        self.fronts = [self._front(logs, slot) for slot in range(self.plan.front_ends)]
        # One beside those inside the workers, as in docker-compose.yml.
        command = [sys.executable, "-m", "worker.reaper"]
        self.reaper = Process("reaper", command, environment(self.settings), logs / "reaper.log")
        for each in (*self.fronts, self.reaper):
            each.start()
            self._left.callback(each.stop)
        self.workers.wait_ready()
        for slot in range(self.plan.workers):
            self._start_worker(slot)
        wait_until(self._ready, READY_S, "every front end ready")

    def _settings(self, redis_url: str, storage_port: int) -> Settings:
        """Times so short that much happens in a minute, in the proportions of the defaults."""
        return Settings(
            redis_url=redis_url,
            redis_timeout_s=1.5,
            redis_retries=3,
            state_dir=self.folder,
            storage_url=f"s3://{S3_BUCKET}/soak",
            s3_endpoint=f"http://127.0.0.1:{storage_port}",
            s3_access_key_id=S3_KEY,
            s3_secret_access_key=SecretStr(S3_SECRET),
            storage_timeout_s=3.0,
            # So few that the watchdog need not wait for storage longer than its own time (`longest_request_s`).
            storage_retries=1,
            checkpoint=str(self._checkpoint()),
            device="cpu",
            lease_s=self.plan.lease_s,
            idempotency_lease_s=self.plan.lease_s,
            reaper_interval_s=self.plan.lease_s / 16,
            reaper_grace_s=self.plan.lease_s / 8,
            result_ttl_s=self.plan.result_ttl_s,
            orphan_age_s=self.plan.orphan_age_s,
            orphan_interval_s=self.plan.orphan_interval_s,
            watchdog_s=self.plan.watchdog_s,
            stop_grace_s=2.0,
            storage_patience_s=60.0,
            progress_interval_s=0.1,
            preview_interval_s=0.2,
            declare_model=True,
        )

    def _checkpoint(self) -> Path:
        folder = self.folder / "checkpoint"
        if not folder.exists():
            shutil.copytree(CHECKPOINT, folder)
            config = folder / "unet" / "config.json"
            config.write_text(json.dumps({**json.loads(config.read_text()), "sample_size": SAMPLE_SIZE}))
        return folder

    def _redis(self, logs: Path) -> Process:
        # Never rewritten, the append-only file is the history of every record; see `tests.soak.evidence.aof`.
        command = [*self.embedded.program().command, "--auto-aof-rewrite-percentage", "0"]
        return Process("redis", command, os.environ, logs / "redis.log")

    def _storage(self, logs: Path, port: int) -> Process:
        program = shutil.which("rclone") or str(Path(sys.executable).parent / "rclone")
        options = [f"--auth-key={S3_KEY},{S3_SECRET}", "--addr", f"127.0.0.1:{port}", "--config="]
        command = [program, "serve", "s3", *options, str(self.disk.folder)]
        return Process("storage", command, os.environ, logs / "storage.log")

    def _front(self, logs: Path, slot: int) -> Process:
        settings = self.settings.model_copy(update={"api_port": free_port()})
        # `model_copy` keeps which fields were set; the port is one of them.
        env = {**environment(settings), "MAGEDIT_API_PORT": str(settings.api_port)}
        url = f"http://127.0.0.1:{settings.api_port}"
        return Process(url, [sys.executable, "-m", "service"], env, logs / f"front-{slot}.log")

    def _start_worker(self, slot: int) -> None:
        skew_s = clock_skew_s(self.plan, self._starts)
        self._starts += 1
        pid = self.workers.start(slot, environment(self.settings), skew_s)
        self.journal.write("start", role="worker", slot=slot, pid=pid, skew_s=skew_s)

    @property
    def urls(self) -> list[str]:
        """Where the front ends listen."""
        return [front.name for front in self.fronts]

    def _ready(self) -> bool:
        self.tick()
        return all(_answers(f"{url}/readyz/workers") for url in self.urls)

    def tick(self) -> None:
        """Note what has died and start it again; to be called often, by the main thread: what a thread starts ends
        with the thread."""
        for slot, (pid, status) in self.workers.ended().items():
            self.journal.write("death", role="worker", slot=slot, pid=pid, status=status)
        if time.monotonic() >= self._no_workers_until:
            for slot, pid in enumerate(self.workers.pids):
                if not pid:
                    self._start_worker(slot)
        for role, slot, process in self.programs():
            if (ended := process.ended()) is not None:
                self.journal.write("death", role=role, slot=slot, pid=ended[0], status=ended[1])
            if not process.pid and time.monotonic() >= process.down_until:
                process.start()

    def send_workers_away(self, seconds: float) -> None:
        """Let every worker stop, as an autoscaler does, and start none for ``seconds``."""
        self._no_workers_until = time.monotonic() + seconds
        for slot, pid in enumerate(self.workers.pids):
            if pid:
                self.workers.send(slot, signal.SIGCONT)
                self.workers.send(slot, signal.SIGTERM)

    def programs(self) -> list[tuple[str, int, Process]]:
        """Role, slot and process of everything but the workers."""
        fronts = [("front", slot, front) for slot, front in enumerate(self.fronts)]
        return [("redis", 0, self.redis), ("storage", 0, self.storage), ("reaper", 0, self.reaper), *fronts]


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5.0).is_success
    except httpx.TransportError:
        return False
