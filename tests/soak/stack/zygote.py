"""A fork server for workers: `python -m tests.soak.stack.zygote`, one request a line on standard input, as JSON.

Importing torch costs seconds of CPU, a hundred times a soak. This process imports it once and forks; each child then
loads the checkpoint and runs `worker.__main__.main`, the whole of it, in a process of its own: what the soak kills
is a real worker running the real code. On CUDA that would not do (a context does not survive a fork); on CPU it does.

Two things can be asked of a child. A clock that is wrong by ``skew_s`` seconds: `time.time`, `time.time_ns` and
`datetime.datetime.now` are shifted in that process; what is compiled (the store's S3 signatures) keeps the machine's
clock, and a time namespace would not help, as it shifts the monotonic clocks alone. And a ``gate``, a file: while it
exists the model computes nothing and reports nothing, as a hung device does.
"""

from __future__ import annotations

import ctypes
import datetime
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

from cli.processes.child import PR_SET_PDEATHSIG

# What workers import sooner or later.
PRELOAD = (
    "torch",
    "transformers.models.clip.modeling_clip",
    "magedit.pipelines.mag_edit",
    "magedit.images.heatmap",
    "worker.__main__",
)
POLL_S = 0.02

Request = dict[str, Any]


class Zygote:
    """Forks, signals and reaps on request. Only a child that was not reaped is signalled: no id is ever reused."""

    def __init__(self) -> None:
        self._children: set[int] = set()

    def answer(self, request: Request) -> object:
        """Carry out one request."""
        match request["do"]:
            case "fork":
                return self._fork(request)
            case "signal":
                if request["pid"] not in self._children:
                    return False
                os.kill(request["pid"], request["number"])
                return True
            case "reap":
                return self._reap()
        raise ValueError(f"{request['do']!r} is no request: fork, signal, reap")

    def _fork(self, request: Request) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _child(request, parent)
        self._children.add(pid)
        return pid

    def _reap(self) -> dict[str, int]:
        """Exit status by process id (negative: the signal) of children that ended since the last time."""
        ended = {}
        for pid in sorted(self._children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                ended[str(pid)] = os.waitstatus_to_exitcode(status)
                self._children.discard(pid)
        return ended


def _child(request: Request, parent: int) -> None:
    """Become a worker of the fork server ``parent``; never returns."""
    status = 70  # sysexits.h, EX_SOFTWARE
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            # It died before this request: the kernel will not signal its end, and the worker would stay for ever.
            raise ChildProcessError("the fork server has ended")
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        null = os.open(os.devnull, os.O_RDWR)
        for number, source in ((0, null), (1, log), (2, log)):
            os.dup2(source, number)
        os.environ.update(request["environment"])
        shift_clock(request["skew_s"])
        worker = importlib.import_module("worker.__main__")
        # What `worker.models.shelf` loads checkpoints by.
        shelf = importlib.import_module("worker.models.shelf")
        shelf.load = _gated(shelf.load, Path(request["gate"]))  # type: ignore[attr-defined]
        status = worker.main()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)


def shift_clock(seconds: float) -> None:
    """Let this process' wall clock be wrong by so many seconds."""
    if not seconds:
        return
    true_time, true_ns, shift = time.time, time.time_ns, datetime.timedelta(seconds=seconds)

    class Shifted(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Shifted:
            return super().now(tz) + shift

    time.time = lambda: true_time() + seconds
    time.time_ns = lambda: true_ns() + int(seconds * 1e9)
    datetime.datetime = Shifted  # type: ignore[misc]


def _gated(load: Callable[..., Any], gate: Path) -> Callable[..., Any]:
    """``load``, with an editor that waits while the file ``gate`` exists; `gate.hung` says that it does."""

    def loaded(*given: Any) -> Any:
        served = load(*given)

        def edit(*args: Any, **options: Any) -> Any:
            if gate.exists():
                gate.with_suffix(".hung").write_text(str(os.getpid()))
            while gate.exists():
                time.sleep(POLL_S)
            return served.editor.edit(*args, **options)

        return replace(served, editor=SimpleNamespace(edit=edit))

    return loaded


def main(requests: IO[str], answers: IO[str]) -> None:
    """Answer requests until there are no more."""
    for name in PRELOAD:
        importlib.import_module(name)
    zygote = Zygote()
    answers.write("ready\n")
    answers.flush()
    for line in requests:
        answers.write(json.dumps(zygote.answer(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    # Answers alone go to standard output: what libraries print goes elsewhere.
    with os.fdopen(os.dup(1), "w") as channel:
        os.dup2(2, 1)
        main(sys.stdin, channel)
    # Python's own end takes torch a second of CPU, which is a minute of a machine that others use.
    os._exit(0)
