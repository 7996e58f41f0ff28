"""Commands of the documentation's shell blocks: found, told apart, and checked without running them."""

from __future__ import annotations

import argparse
import importlib.util
import re
import runpy
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import typer
import yaml

from cli.__main__ import app
from jobs.settings import Settings
from tests.docs.conftest import PAGES, ROOT

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_TITLED = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Z_]+=")
_PYTHON = {"python", ".venv/bin/python"}


class Command(NamedTuple):
    """One command line of a page: its text, its environment variables and its words."""

    text: str
    environment: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def program(self) -> str:
        """What is started; empty if the line only sets variables."""
        return self.words[0] if self.words else ""


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return [code for name, code in _BLOCK.findall(page.read_text()) if name == language]


def titled(page: Path, title: str) -> str:
    """The fenced block of a page that has this title."""
    return str(next(code for name, code in _TITLED.findall(page.read_text()) if name == title))


def titles(page: Path, title: str) -> bool:
    """Whether a fenced block of the page has this title."""
    return any(name == title for name, _ in _TITLED.findall(page.read_text()))


def commands(page: Path) -> list[Command]:
    """The commands of a page's shell blocks and, where they start with `make` or `python`, of its inline code."""
    lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`((?:make|python|docker) [^`]+)`", _FENCED.sub("", page.read_text()))
    return [_command(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _command(line: str) -> Command:
    words = shlex.split(line, comments=True)
    environment = []
    while words and _ASSIGNMENT.match(words[0]):
        environment.append(words.pop(0))
    return Command(line.strip(), tuple(environment), tuple(words))


def is_run(command: Command) -> bool:
    """Whether the tests run the command; what takes minutes or does not end is checked instead."""
    if command.program == ".venv/bin/magedit":
        return command.words[1] in {"edit", "keys", "mask", "webhooks"}
    return command.program in {"", "curl", "cp"}


def check(command: Command) -> None:
    """Check a command that is not run: its program, options and settings exist."""
    for assignment in command.environment:
        name = assignment.split("=")[0]
        assert name.removeprefix("MAGEDIT_").lower() in Settings.model_fields, f"{name} is no setting"
    if command.program == "make":
        _check_make(command.words[1:])
    elif command.program == "docker":
        _check_docker(command.words[1:])
    elif command.program in _PYTHON and command.words[1] == "-m":
        _check_module(command.words[2], command.words[3:])
    elif command.program in _PYTHON:
        # A script that a page shows.
        assert any(titles(page, command.words[1]) for page in PAGES), command.words[1]
    elif command.program == ".venv/bin/magedit":
        _check_magedit(command.words[1:])
    elif command.program == "benchmarks/gpu.sh":
        # Its own option aside, the script hands them on.
        if command.words[1:] != ("--fetch",):
            _check_module("benchmarks.gpu", command.words[1:])
    else:
        raise AssertionError(f"no test knows what to do with: {command.text}")


def _check_make(words: Sequence[str]) -> None:
    targets = dict(re.findall(r"^([a-z-]+):.*\n((?:\t.*\n)*)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    variables = dict(word.split("=", 1) for word in words if "=" in word)
    for target in (word for word in words if "=" not in word):
        assert target in targets, target
        for name, value in variables.items():
            # The recipe's program gets what the variable holds.
            line = next(line for line in targets[target].splitlines() if f"$({name})" in line)
            if module := re.search(r"python -m ([\w.]+)", line):
                _check_module(module[1], shlex.split(value))
            else:
                called = re.search(rf"/magedit ([\w-]+).*?(--[\w-]+) \$\({name}\)", line)
                assert called is not None, line
                _check_magedit([called[1], called[2], value])


def _check_docker(words: Sequence[str]) -> None:
    if words[0] == "compose":
        _check_compose(words)
    elif words[0] == "build":
        assert f"AS {words[words.index('--target') + 1]}\n" in (ROOT / "Dockerfile").read_text()
    else:
        # The digest of an image that the Dockerfile starts from.
        assert list(words[:3]) == ["buildx", "imagetools", "inspect"]
        assert words[3] in (ROOT / "Dockerfile").read_text()


def _check_compose(words: Sequence[str]) -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    known = {*services, *(profile for service in services.values() for profile in service.get("profiles", ()))}
    verbs = {"up", "exec", "down"}
    assert verbs.intersection(words)
    for word in words[1:]:
        if word in verbs:
            continue
        if word in {"magedit", "python"}:
            break
        assert word.startswith("--") or word in known, word


def _check_magedit(words: Sequence[str]) -> None:
    _parse_with(app, words)


def _parse_with(program: typer.Typer, words: Sequence[str]) -> None:
    """Read a subcommand's arguments with a Typer program, and stop there."""
    command = typer.main.get_command(program)
    if not isinstance(command, typer.core.TyperGroup):
        command.make_context(None, list(words))
        return
    context = command.make_context(None, list(words))
    subcommand = command.get_command(context, words[0])
    assert subcommand is not None, words[0]
    subcommand.make_context(words[0], list(words[1:]), parent=context)


class _Parsed(Exception):
    """The program has read its arguments."""


def _check_module(name: str, arguments: Sequence[str]) -> None:
    """Start a module up to the point where its arguments are read; one without arguments need only be there."""
    module = importlib.util.find_spec(name)
    assert module is not None, name
    if not arguments:
        return
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(parser: argparse.ArgumentParser, *args: object) -> None:
        parse(parser, *args)  # type: ignore[call-overload]
        raise _Parsed

    def call_and_stop(program: typer.Typer) -> None:
        _parse_with(program, arguments)
        raise _Parsed

    main = importlib.util.find_spec(f"{name}.__main__") if module.submodule_search_locations else module
    assert main is not None
    assert main.origin is not None
    # Anything else would carry out its task here.
    text = Path(main.origin).read_text()
    if f"from {name}.run import main" in text:
        text = Path(main.origin).with_name("run.py").read_text()
    assert re.search(r"^import (argparse|typer)$", text, re.MULTILINE), name
    with (
        _forgotten(name, f"{name}.__main__"),
        patch.object(sys, "argv", [name, *arguments]),
        patch.object(argparse.ArgumentParser, "parse_args", parse_and_stop),
        patch.object(typer.Typer, "__call__", call_and_stop),
        suppress(_Parsed),
    ):
        runpy.run_module(name, run_name="__main__")
        raise AssertionError(f"python -m {name} read no arguments")


@contextmanager
def _forgotten(*names: str) -> Iterator[None]:
    """Hide these modules if another test has imported them, of which runpy would warn.

    All other modules stay: numpy and torch cannot be imported twice in one process.
    """
    hidden = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    try:
        yield
    finally:
        sys.modules.update(hidden)
