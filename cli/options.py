"""Command-line options generated from `EditConfig`: name, type, bounds, default and help of each field."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin

import typer
from annotated_types import Ge, Le
from typer.core import TyperOption
from typing_extensions import Doc

from magedit.config import GOVERNED, PRESET_DOC, EditConfig, PresetName
from magedit.config.parameters import hints_of
from magedit.prompts.kinds import KIND_DOC, KIND_GOVERNED, KindName
from magedit.prompts.weights import PROMPT_SYNTAX_DOC, PromptSyntax

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

PANEL = "How to edit"

SHORT = frozenset({"preset", "method", "strength", "seed"})
"""The parameters of an edit in `--help`; `--help-all` lists every one."""


def with_config_options(command: F) -> F:
    """Give ``command``, which takes ``**config``, options for preset, kind, prompt syntax and the fields of
    `EditConfig`.

    An option that is not given arrives as None, so that the service's own default holds. `--help` shows the options of
    `SHORT` alone, `--help-all` every one.
    """
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    options = [
        _choice("preset", PresetName, PRESET_DOC),
        _choice("kind", KindName, KIND_DOC),
        _choice("prompt_syntax", PromptSyntax, PROMPT_SYNTAX_DOC),
    ]
    options += [_option(field) for field in dataclasses.fields(EditConfig)]
    options.append(_help_all())

    @functools.wraps(command)
    def run(*args: Any, help_all: bool = False, **given: Any) -> Any:  # noqa: ARG001 - its callback has seen to it
        return command(*args, **given)

    run.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in (*own, *options)}
    return cast("F", run)


def _choice(name: str, kind: Any, doc: str) -> inspect.Parameter:
    default = {"preset": "balanced", "kind": "auto", "prompt_syntax": "plain"}[name]
    option = typer.Option(
        help=_first_sentence(doc), show_default=default, rich_help_panel=PANEL, hidden=name not in SHORT
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


_WHOLE: dict[str, str] = {}
"""The whole help text of each option by the part of it that `--help` shows."""


def _first_sentence(doc: str, repeated: bool = False) -> str:
    shown = re.split(r"(?<=\.) (?=[A-Z`])", doc)[0]
    _WHOLE[shown] = doc + " Repeatable." * repeated
    return shown


def _described(option: TyperOption, context: typer.Context) -> str:
    """Name and values on one line of any length; below it the whole help text, 80 columns wide."""
    facts = [option.help or ""]
    if option.required:
        facts.append("Required.")
    if isinstance(option.show_default, str):
        facts.append(f"Default: {option.show_default}.")
    text = " ".join(_WHOLE.get(each, each) for each in facts)
    option.hidden = False
    name, _ = option.get_help_record(context) or (option.opts[0], "")
    name = textwrap.fill(name.replace("|", " | "), 80, subsequent_indent="    ", break_on_hyphens=False)
    return f"{name}\n{textwrap.fill(text, 76, initial_indent='    ', subsequent_indent='    ')}"


def _help_all() -> inspect.Parameter:
    def show(context: typer.Context, asked: bool) -> None:
        if asked:
            for each in context.command.params:
                if isinstance(each, TyperOption):
                    typer.echo(_described(each, context))
            raise typer.Exit

    option = typer.Option("--help-all", callback=show, is_eager=True, help="Show every parameter and exit.")
    return inspect.Parameter(
        "help_all", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, option]
    )


def _option(field: dataclasses.Field[Any]) -> inspect.Parameter:
    hint = hints_of(EditConfig)[field.name]
    kind, *extras = get_args(hint)
    mapping, repeated = get_origin(kind) is Mapping, get_origin(kind) is tuple
    numbers = _inner(Annotated[get_args(kind)[0], ""] if repeated else hint)
    number = int if _plain(kind) is int else float
    option = typer.Option(
        help=_first_sentence(next(each.documentation for each in extras if isinstance(each, Doc)), repeated),
        min=next((number(str(each.ge)) for each in numbers if isinstance(each, Ge)), None),
        max=next((number(str(each.le)) for each in numbers if isinstance(each, Le)), None),
        show_default=False if mapping or field.default in (None, ()) else _default(field),
        parser=_json_object if mapping else None,
        metavar="JSON" if mapping else None,
        rich_help_panel=PANEL,
        hidden=field.name not in SHORT,
    )
    value = str if mapping else list[_plain(get_args(kind)[0])] if repeated else _plain(kind)  # type: ignore[misc]
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[value | None, option]
    )


def _default(field: dataclasses.Field[Any]) -> str:
    if field.name in KIND_GOVERNED:
        return "by --kind"
    return "by --preset" if field.name in GOVERNED else str(field.default)


def _inner(hint: Any) -> tuple[Any, ...]:
    """The metadata of a hint and, for an alias within it (`Fraction`), of that."""
    kind, *extras = get_args(hint)
    return (*extras, *(get_args(kind)[1:] if get_origin(kind) is Annotated else ()))


def _plain(kind: Any) -> Any:
    """``float`` of ``float | None`` or of `Fraction`."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    alternatives = [each for each in get_args(kind) if each is not type(None)]
    return _plain(alternatives[0]) if alternatives and type(None) in get_args(kind) else kind


def json_array(text: str) -> list[Any]:
    """Parse a JSON option into an array. Raises typer.BadParameter."""
    return _json(text, list, "array")


def _json_object(text: str) -> dict[str, Any]:
    return _json(text, dict, "object")


def _json(text: str, kind: type[T], name: str) -> T:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"{text!r} is not a JSON {name}") from error
    if not isinstance(value, kind):
        raise typer.BadParameter(f"{text!r} is not a JSON {name}")
    return value
