"""Every command of the documentation: run against one service, or checked where it takes long."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cli.processes.stack import Stack
from magedit.client import Client
from magedit.demo import demo_edit
from tests.docs.commands import Command, check, commands, is_run
from tests.docs.conftest import GENERATED, PAGES, ROOT

GUIDES = [page for page in PAGES if GENERATED not in page.parents and page.name != "CHANGELOG.md"]
COMMANDS = {page: commands(page) for page in GUIDES}
RUN = [page for page in GUIDES if any(is_run(command) and command.words for command in COMMANDS[page])]

# The shortest edit: what is tested is the command, not the picture. Random weights find things by chance: for an
# instruction the mask is given.
MAGEDIT = f"""#!/bin/sh
if [ "$1" = edit ]; then set -- "$@" --steps 2 --max-iterations 1; fi
case "$*" in edit*--instruction*) set -- "$@" demo-output/mask.png;; esac
exec {sys.executable} -m cli "$@"
"""
CURL = """#!/bin/sh
case "$*" in *instruction=*) set -- "$@" -F mask=@demo-output/mask.png;; esac
case "$*" in *mask=*|*instruction=*) set -- "$@" -F steps=2 -F max_iterations=1;; esac
exec /usr/bin/curl --fail-with-body "$@"
"""


@pytest.fixture(scope="session")
def folder(s3_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout's root as the commands see it, with what `make demo` leaves there and a picture to edit further."""
    root = tmp_path_factory.mktemp("root")
    programs = root / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, script in (("magedit", MAGEDIT), ("curl", CURL)):
        (programs / name).write_text(script)
        (programs / name).chmod(stat.S_IRWXU)
    (root / "magedit").symlink_to(ROOT / "magedit")
    (root / ".env.example").symlink_to(ROOT / ".env.example")
    edit = demo_edit("picture")
    (root / "demo-output").mkdir()
    edit.image().save(root / "demo-output" / "source.png")
    edit.mask().save(root / "demo-output" / "mask.png")
    edit.mask().save(root / "lamp-mask.png")
    with Client(s3_stack.url) as client:
        first = client.submit(
            root / "demo-output" / "source.png",
            [root / "demo-output" / "mask.png"],
            source_prompt=edit.source_prompt,
            target_prompt=edit.target_prompt,
            steps=2,
            max_iterations=1,
        )
        client.wait(first.id)
    prompts = f'ID={first.id}\nFROM="{edit.source_prompt}"\nTO="{edit.target_prompt}"\n'
    (root / "before.sh").write_text("set -eu\n" + prompts)
    return root


def test_the_quickstart_names_the_demos_prompts() -> None:
    edit = demo_edit("picture")
    texts = {command.text for command in COMMANDS[ROOT / "docs" / "quickstart.md"]}
    assert {f'FROM="{edit.source_prompt}"', f'TO="{edit.target_prompt}"'} <= texts


@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_run(page: Path, folder: Path, s3_stack: Stack) -> None:
    lines = [command.text for command in COMMANDS[page] if is_run(command)]
    already = folder / "already.txt"
    seen = set(already.read_text().splitlines()) if already.exists() else set()
    # README and the quickstart share commands.
    fresh = [line for line in lines if line not in seen]
    already.write_text("\n".join(seen.union(fresh)))
    script = (folder / "before.sh").read_text() + "\n".join(fresh)
    script = script.replace("http://127.0.0.1:8000", s3_stack.url)
    script = script.replace(
        "keys revoke ID", "keys revoke $(.venv/bin/magedit keys list | grep -om1 '[0-9a-f]\\{16\\}')"
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={
            **os.environ,
            **s3_stack.environment(),
            "PATH": f"{folder / '.venv' / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "200",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize(
    "command",
    [command for page in GUIDES for command in COMMANDS[page] if not is_run(command)],
    ids=lambda command: command.text[:60],
)
def test_commands_that_are_not_run_are_valid(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        check(command)
    except SystemExit:
        pytest.fail(f"{command.text}: {capsys.readouterr().err}")
