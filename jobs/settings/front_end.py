"""Settings of the front end: address, keys, limits, uploads, instructions."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Literal

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator

from jobs.settings.job_life import DAY_S

MIB = 2**20


class FrontEndSettings(BaseModel):
    """Who may call, how often and with how much, and how long a call waits."""

    auth: Literal["off", "keys"] = Field(
        default="off",
        description="`keys`: every call needs an API key (`magedit keys create`). `off`: no keys, one tenant, no "
        "limits; for use on one machine.",
    )
    api_host: str = Field(default="127.0.0.1", description="Address on which the front end listens.")
    api_port: int = Field(
        default=8000, ge=0, le=65535, description="Port on which the front end listens; 0: any free one."
    )
    allow_anonymous: bool = Field(
        default=False,
        validate_default=True,
        description="Allow listening on a non-loopback address although `MAGEDIT_AUTH` is `off`: then anyone who "
        "reaches it, any web page included, has full access.",
    )
    key_cache_s: float = Field(
        default=5.0,
        ge=0,
        le=300,
        description="How long a front end caches an API key, in seconds; a revoked key may work for that long.",
    )
    model_cache_s: float = Field(
        default=0.25,
        ge=0,
        le=60,
        description="How long a front end caches the served models and their pace for its estimates, in seconds; by "
        "default the interval in which workers save progress.",
    )
    requests_per_minute: int = Field(
        default=1200,
        ge=0,
        description="Requests per minute of a tenant whose key sets no limit of its own; 0: unlimited. This limit and "
        "the next three apply with `MAGEDIT_AUTH=keys` only.",
    )
    submits_per_minute: int = Field(default=120, ge=0, description="New edits per minute, likewise.")
    unfinished_limit: int = Field(default=200, ge=0, description="Unfinished edits of a tenant at a time, likewise.")
    unet_passes_per_month: int = Field(
        default=0,
        ge=0,
        description="UNet passes of a tenant's succeeded edits in a calendar month (UTC), likewise; beyond it, new "
        "edits get 402.",
    )
    idempotency_ttl_s: float = Field(
        default=DAY_S,
        gt=0,
        description="How long an `Idempotency-Key` stays bound to its edit, in seconds.",
    )
    idempotency_lease_s: float = Field(
        default=30.0,
        gt=0,
        le=600,
        description="How long an `Idempotency-Key` stays blocked if the front end dies while it accepts the edit, in "
        "seconds.",
    )
    max_wait_s: int = Field(
        default=60, ge=0, le=600, description="Longest wait granted to `Prefer: wait=n`, in seconds; 0: none."
    )
    images_wait_s: float = Field(
        default=600.0,
        ge=0,
        le=3600,
        description="How long `POST /v1/images/edits` waits for its edit to finish, in seconds; then it responds "
        "with 504, and the edit keeps running.",
    )
    metrics_open: bool = Field(
        default=False,
        description="With `MAGEDIT_AUTH=keys`, serve `/metrics` without a key; otherwise it needs one with the scope "
        "`metrics:read`.",
    )
    redirect_results: bool = Field(
        default=False,
        description="With S3, redirect requests for results and artifacts to presigned URLs of the S3 server, except "
        "with `?redirect=false`. If off, redirect only with `?redirect=true`.",
    )
    presign_s: float = Field(
        default=300.0,
        ge=1,
        le=7 * DAY_S,
        description="Lifetime of a presigned URL, in seconds; at most until the edit expires.",
    )
    max_upload_bytes: int = Field(default=20 * MIB, ge=1, description="Largest uploaded file, in bytes.")
    max_body_bytes: int = Field(
        default=64 * MIB, ge=1, description="Largest request body, all uploaded files together, in bytes."
    )
    body_idle_s: float = Field(
        default=30.0,
        gt=0,
        le=3600,
        description="Longest pause in a request body, in seconds, before it gets 408; so does a body that averages "
        "less than 1 KiB per second, both over this time and overall.",
    )
    max_pixels: int = Field(default=25_000_000, ge=1, description="Largest image, in pixels (width x height).")
    max_side: int = Field(default=8192, ge=1, description="Longest side of an image, in pixels.")
    submits_at_a_time: int = Field(
        default=4,
        ge=1,
        le=40,
        description="Uploads that one front end decodes and stores at a time; others wait up to 30 s, then get 503. "
        "Each may use 16 bytes of memory per pixel, by default up to 400 MB.",
    )
    max_regions: int = Field(default=8, ge=1, le=64, description="Most regions (masks) of one edit.")
    max_results: int = Field(
        default=8,
        ge=1,
        le=64,
        description="Most results of one edit: its `n` times the number of strengths in `sweep`.",
    )
    default_model: str = Field(
        default="demo",
        description="Model of a request that names none. Not set: the served model, if there is only one.",
    )
    queue_limit: int = Field(
        default=1000,
        ge=1,
        description="Most unfinished edits at a time; beyond it, new ones get 503.",
    )

    instruction_url: str | None = Field(
        default=None,
        pattern=r"^($|https?://[^\s/]+)",
        description="Base address of an OpenAI-compatible API whose chat endpoint parses `instruction`, such as "
        "`http://127.0.0.1:11434/v1`. Empty: rules for English, which are also the fallback if it does "
        "not respond.",
    )
    instruction_model: str = Field(default="gpt-4o-mini", min_length=1, description="Model name to request there.")
    instruction_key: SecretStr | None = Field(default=None, description="API key for it. Empty: no key is sent.")
    instruction_timeout_s: float = Field(
        default=10.0,
        gt=0,
        le=120,
        description="Longest wait for a connection to it, and then for its response, in seconds. After a timeout, "
        "rules parse instructions for half a minute.",
    )

    @field_validator("allow_anonymous")
    @classmethod
    def _keys_or_loopback(cls, allowed: bool, info: ValidationInfo) -> bool:
        host, auth = info.data.get("api_host", "localhost"), info.data.get("auth")
        if auth == "off" and not allowed and not is_loopback(host):
            raise ValueError(
                f"the front end would listen on {host!r} without API keys: set MAGEDIT_AUTH=keys, or "
                "MAGEDIT_API_HOST to a loopback address, or this to true if anyone who can reach it may have full "
                "access"
            )
        return allowed


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address. Names other than `localhost` do not count."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
