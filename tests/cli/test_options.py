"""Command-line options are the fields of `EditConfig`."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cli.options import with_config_options
from magedit.config import EditConfig


@pytest.fixture
def given() -> dict[str, Any]:
    return {}


@pytest.fixture
def app(given: dict[str, Any]) -> typer.Typer:
    app = typer.Typer()

    @app.command()
    @with_config_options
    def command(**config: Any) -> None:
        given.update(config)

    return app


def test_every_parameter_is_an_option(app: typer.Typer, given: dict[str, Any]) -> None:
    assert CliRunner().invoke(app, []).exit_code == 0
    assert set(given) == {field.name for field in dataclasses.fields(EditConfig)} | {"preset", "kind", "prompt_syntax"}
    assert set(given.values()) == {None}


def test_values_have_their_types(app: typer.Typer, given: dict[str, Any]) -> None:
    arguments = ["--steps", "10", "--strength", "0.5", "--method", "p2p", "--guidance-step-size", "3"]
    arguments += ["--equalizer", '{"red": 2}']
    arguments += ["--preset", "fast", "--kind", "removal", "--sweep", "0", "--sweep", "0.5"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert {name: value for name, value in given.items() if value is not None} == {
        "steps": 10,
        "strength": 0.5,
        "method": "p2p",
        "guidance_step_size": 3.0,
        "equalizer": {"red": 2},
        "preset": "fast",
        "kind": "removal",
        "sweep": [0.0, 0.5],
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("--steps", "1"),
        ("--strength", "1.5"),
        ("--method", "magic"),
        ("--sweep", "1.5"),
        ("--n", "0"),
        ("--preset", "a"),
        ("--equalizer", "{"),
        ("--equalizer", "[]"),
    ],
)
def test_bounds_hold_before_anything_is_sent(arguments: tuple[str, str], app: typer.Typer) -> None:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 2
    assert arguments[0] in result.output
