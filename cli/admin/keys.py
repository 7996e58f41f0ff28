"""`magedit keys`: create, list and revoke API keys, on the service's Redis."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError
from rich.table import Table

from cli.admin.service_redis import service_redis
from cli.console import make_console
from jobs.schema import Tenant
from jobs.tenants.api_keys import CALLER_SCOPES, SCOPES, ApiKey, ApiKeys, Scope
from jobs.tenants.limits import Limits

UNITS_S = {"m": 60, "h": 3600, "d": 24 * 3600}

app = typer.Typer(no_args_is_help=True, help="API keys: create, list, revoke.")


def duration(text: str) -> float:
    """The seconds of `90d`, `12h` or `30m`. Raises typer.BadParameter."""
    match = re.fullmatch(r"([1-9]\d{0,5})([mhd])", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a duration like 90d, 12h or 30m")
    return int(match[1]) * UNITS_S[match[2]]


def tenant_name(text: str) -> str:
    """The name of a tenant. Raises typer.BadParameter."""
    try:
        return TypeAdapter(Tenant).validate_python(text)
    except ValidationError as error:
        raise typer.BadParameter(f"{text!r} is not 1 to 64 letters, digits, _ and -") from error


def scope_name(text: str) -> Scope:
    """A scope. Raises typer.BadParameter."""
    for scope in SCOPES:
        if scope == text:
            return scope
    raise typer.BadParameter(f"{text!r} is not a scope; use one of {', '.join(SCOPES)}")


def limit_value(text: str) -> str:
    """`submits_per_minute=10` as it is. Raises typer.BadParameter."""
    name, _, number = text.partition("=")
    try:
        Limits.model_validate({name: number})
    except ValidationError as error:
        known = ", ".join(Limits.model_fields)
        raise typer.BadParameter(f"{text!r} is not a limit like submits_per_minute=10; use one of {known}") from error
    return text


@app.command()
def create(
    *,
    tenant: Annotated[str, typer.Option(parser=tenant_name, metavar="NAME", help="Tenant whose edits it can access.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            parser=scope_name,
            metavar="SCOPE",
            help=f"Scope of the key, one of {', '.join(SCOPES)}; repeatable. Default: {', '.join(CALLER_SCOPES)}.",
        ),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            parser=limit_value,
            metavar="NAME=NUMBER",
            help=f"Limit that overrides the service's, one of {', '.join(Limits.model_fields)}; 0: unlimited. "
            f"Repeatable.",
        ),
    ] = None,
    expires: Annotated[
        float | None,
        typer.Option(parser=duration, metavar="DURATION", help="Lifetime: 90d, 12h, 30m. Default: unlimited."),
    ] = None,
) -> None:
    """Create a key. It is printed once to standard output and not stored."""
    with service_redis() as redis:
        api_keys = ApiKeys(redis)
        scopes = [scope_name(each) for each in scope] if scope else CALLER_SCOPES
        limits = Limits.model_validate(dict(each.split("=") for each in limit or ()))
        key, token = api_keys.create(tenant, scopes, limits=limits, expires_in_s=expires)
    make_console(stderr=True).print(f"key {key.id} of {tenant}: {', '.join(key.scopes)}; it is shown only once")
    typer.echo(token)


@app.command("list")
def show() -> None:
    """List every key ever created, without secrets."""
    table = Table(show_header=True, header_style="bold")
    for column in ("id", "tenant", "scopes", "limits", "created", "last used", "state"):
        table.add_column(column, no_wrap=column == "id")
    with service_redis() as redis:
        api_keys = ApiKeys(redis)
        now = datetime.now(UTC).timestamp()
        for key in api_keys.list():
            limits = " ".join(f"{name}={value}" for name, value in key.limits.model_dump(exclude_unset=True).items())
            times = (_day(key.created_at), _day(key.last_used_at))
            table.add_row(key.id, key.tenant, " ".join(key.scopes), limits, *times, _state(key, now))
    make_console().print(table)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key, as shown by `list`.")]) -> None:
    """Revoke a key permanently. Front ends may cache it for MAGEDIT_KEY_CACHE_S seconds."""
    with service_redis() as redis:
        api_keys = ApiKeys(redis)
        if not api_keys.revoke(key_id):
            raise typer.BadParameter(f"there is no key {key_id!r}; `magedit keys list` shows all keys")
        typer.echo(f"revoked {key_id}")


def _state(key: ApiKey, now: float) -> str:
    if key.revoked_at is not None:
        return f"revoked {_day(key.revoked_at)}"
    if key.expires_at is None:
        return "valid"
    return f"{'valid until' if key.is_valid(now) else 'expired'} {_day(key.expires_at)}"


def _day(seconds: float | None) -> str:
    return "never" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
