"""A container engine of this folder's own: Debian's packages unpacked, run in namespaces that end with the tests.

Nothing is installed on the machine but what the unpacked programs call (`runc`, `iptables`, `mmdebstrap`), and no
service of it is touched. Debian 12's own engine is too old for the compose file; Debian 13's runs on it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

HOST_NETWORK = "MAGEDIT_CONTAINERS_HOST_NETWORK"
"""Names the file of the network namespace with a way out, in the environment of `python -m tests.containers`."""

RELEASE = "trixie"
UNPACKED = ("docker.io", "docker-cli", "containerd", "docker-buildx", "docker-compose", "tini")
# By Debian 12's own packages: those of Debian 13 want a newer C library.
INSTALLED = {"runc": "runc", "iptables": "iptables", "ip": "iproute2", "mmdebstrap": "mmdebstrap"}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
START_S = 60.0

Network = Literal["host", "own"]


def obstacle() -> str | None:
    """Why no engine can be run here; None if one can."""
    if os.geteuid() != 0:
        return "it takes root"
    release = Path("/etc/os-release")
    if not release.exists() or "VERSION_CODENAME=bookworm" not in release.read_text().splitlines():
        return "it takes Debian 12 (bookworm)"
    if shutil.which("apt-get") is None or not KEYRING.exists():
        return "it takes apt-get and Debian's keyring"
    if mirror() is None:
        return "apt's sources name no Debian mirror"
    probe = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "mount", "-t", "tmpfs", "probe", "/mnt"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"no namespaces can be made: {done.stderr.strip()}"


def mirror() -> str | None:
    """Where apt gets Debian from, by its own sources."""
    for file in (Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))):
        for line in file.read_text().splitlines() if file.is_file() else ():
            words = [word for word in line.split() if not word.startswith(("[", "signed-by", "arch="))]
            if words[:1] in (["deb"], ["URIs:"]) and words[1].rstrip("/").endswith("/debian"):
                return words[1]
    return None


def outside(*command: str | Path) -> list[str | Path]:
    """``command`` in the network namespace that has a way out."""
    return ["nsenter", f"--net={os.environ[HOST_NETWORK]}", "--", *command]


class Engine:
    """Docker in ``folder``, which keeps packages, images and layers from run to run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self._socket = folder / "docker.sock"
        self._configuration = folder / "client"

    def install(self) -> None:
        """Fetch and unpack the engine, where it has not been."""
        missing = [package for program, package in INSTALLED.items() if shutil.which(program) is None]
        if missing:
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            install = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", "install", "--no-install-recommends", "--yes")
            subprocess.run(outside("apt-get", "-qq", "update"), env=environment, check=True)
            subprocess.run(outside(*install, *missing), env=environment, check=True, stdout=subprocess.DEVNULL)
        if (self.folder / "unpacked").exists():
            return
        apt = self.folder / "apt"
        for each in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "var/lib/apt/lists/partial", "var/lib/dpkg"):
            (apt / each).mkdir(parents=True, exist_ok=True)
        (apt / "var/cache/apt/archives/partial").mkdir(parents=True, exist_ok=True)
        (apt / "var/lib/dpkg/status").touch()
        (apt / "etc/apt/sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror()} {RELEASE} main\n")
        options = [f"Dir={apt}", f"Dir::State={apt}/var/lib/apt", f"Dir::State::status={apt}/var/lib/dpkg/status"]
        options += [f"Dir::Cache={apt}/var/cache/apt", "APT::Sandbox::User=root"]
        command = outside("apt-get", "-qq", *(word for option in options for word in ("-o", option)))
        packages = self.folder / "packages"
        packages.mkdir(exist_ok=True)
        subprocess.run([*command, "update"], check=True)
        subprocess.run([*command, "download", *UNPACKED], cwd=packages, check=True)
        for package in packages.glob("*.deb"):
            subprocess.run(["dpkg", "--extract", package, self.root], check=True)
        plugins = self._configuration / "cli-plugins"
        plugins.mkdir(parents=True)
        for name in ("docker-buildx", "docker-compose"):
            (plugins / name).symlink_to(self.root / "usr/libexec/docker/cli-plugins" / name)
        (self.folder / "unpacked").touch()

    @contextmanager
    def running(self, network: Network) -> Iterator[None]:
        """The engine at work: ``host`` to build, with a way out; ``own`` to run containers, on bridges that nobody else
        sees."""
        program: list[str | Path] = ["dockerd"]
        if network == "host":
            program = outside("dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false")
        else:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        program += [
            f"--data-root={self.folder}/data",
            f"--exec-root={self.folder}/exec",
            f"--host=unix://{self._socket}",
        ]
        program += [f"--pidfile={self.folder}/pid", "--exec-opt=native.cgroupdriver=cgroupfs"]
        program += [f"--userland-proxy-path={self.root}/usr/sbin/docker-proxy"]
        (self.folder / "pid").unlink(missing_ok=True)
        path = f"{self.root}/usr/bin:{self.root}/usr/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
        log = self.folder / f"engine-{network}.log"
        with log.open("wb") as output:
            engine = subprocess.Popen(
                program, env={"PATH": path, "HOME": "/root"}, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            deadline = time.monotonic() + START_S
            while self.docker("version", check=False).returncode:
                if engine.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the engine does not start:\n{log.read_text()[-2000:]}")
                time.sleep(0.2)
            yield
        finally:
            engine.terminate()
            engine.wait()

    def docker(
        self,
        *arguments: str | Path,
        check: bool = True,
        stdin: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run the client. Raises RuntimeError with what it said where ``check`` and it fails."""
        own = {"DOCKER_HOST": f"unix://{self._socket}", "DOCKER_CONFIG": str(self._configuration), "HOME": "/root"}
        done = subprocess.run(
            [self.root / "usr/bin/docker", *arguments],
            env={"PATH": os.environ["PATH"], **own, **(environment or {})},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            said = (done.stdout + done.stderr)[-6000:]
            raise RuntimeError(f"docker {' '.join(map(str, arguments))} failed ({done.returncode}):\n{said}")
        return done

    def build(self, tag: str, context: Path, *more: str, dockerfile: str | None = None) -> str:
        """Build an image from ``context``, by ``dockerfile``'s text or the context's own; what the builder said."""
        arguments: Sequence[str] = ("build", "--progress=plain", "--network=host", "--tag", tag, *more)
        if dockerfile is not None:
            arguments = (*arguments, "--file", "-")
        return self.docker(*arguments, context, stdin=dockerfile).stderr

    def inspect(self, container: str) -> dict[str, Any]:
        """What the engine knows of a container."""
        found: dict[str, Any] = json.loads(self.docker("inspect", container).stdout)[0]
        return found
