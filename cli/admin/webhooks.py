"""`magedit webhooks`: a tenant's signing secret, on the service's Redis."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.admin.keys import duration, tenant_name
from cli.admin.service_redis import service_redis
from cli.console import make_console
from jobs.webhooks.secrets import OVERLAP_S, WebhookSecrets

LOCAL = "local"
"""The tenant of a service without API keys."""

app = typer.Typer(no_args_is_help=True, help="Webhooks: show and replace the secret that signs them.")

TenantName = Annotated[str, typer.Option(parser=tenant_name, metavar="NAME", help="Whose.")]


@app.command()
def secret(tenant: TenantName = LOCAL) -> None:
    """Print a tenant's secret to standard output; it is created on first use."""
    with service_redis() as redis:
        typer.echo(WebhookSecrets(redis).valid(tenant)[0])


@app.command()
def rotate(
    tenant: TenantName = LOCAL,
    overlap: Annotated[
        float | None,
        typer.Option(
            parser=duration, metavar="DURATION", help="How long the old secret keeps signing: 90m, 12h. Default: 1d."
        ),
    ] = None,
) -> None:
    """Replace a tenant's secret and print the new one; for a while, deliveries are signed with both."""
    overlap_s = OVERLAP_S if overlap is None else int(overlap)
    with service_redis() as redis:
        fresh = WebhookSecrets(redis).rotate(tenant, overlap_s=overlap_s)
    make_console(stderr=True).print(f"the previous secret remains valid for {overlap_s} s")
    typer.echo(fresh)
