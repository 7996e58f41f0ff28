"""Every setting of every process, once: name, type, default, meaning; read from `MAGEDIT_...` variables.

Nothing is read at import: each entry point builds one `Settings()` and passes it down.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from magedit.assessment import Thresholds
from magedit.passes import BATCH_RESULTS

DType = Literal["auto", "float32", "bfloat16", "float16"]
MIB = 2**20
DAY_S = 24 * 3600


class Settings(BaseSettings):
    """Typed settings; docs/reference/settings.md is generated from the descriptions below."""

    model_config = SettingsConfigDict(env_prefix="MAGEDIT_", frozen=True, extra="forbid")

    # Shared state
    redis_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        repr=False,
        description="Redis with the job records and the queue: `redis://`, `rediss://` or `unix://`.",
    )
    redis_password: SecretStr | None = Field(
        default=None,
        description="Password of Redis, as it is: unlike one in the address it needs no percent-encoding. One in the "
        "address goes before.",
    )
    redis_timeout_s: float = Field(
        default=5.0,
        gt=0,
        le=60,
        description="How long one Redis command or connection attempt may take, in seconds.",
    )
    redis_retries: int = Field(
        default=4,
        ge=0,
        le=20,
        description="How often a Redis command is repeated, with back-off, while Redis is away.",
    )
    state_dir: Path = Field(
        default=Path(".state"),
        description="Folder of everything kept on this machine: objects, embedded Redis.",
    )
    storage_url: str | None = Field(
        default=None,
        description="Where images live: `file:///absolute/folder`, `s3://bucket/prefix` or `memory:` (one "
        "process). Empty: the folder `objects` in the state folder.",
    )
    s3_endpoint: str | None = Field(
        default=None, description="Address of an S3 server other than AWS; `http://` is allowed."
    )
    s3_public_endpoint: str | None = Field(
        default=None,
        description="Address at which callers reach the S3 server, for presigned addresses. Empty: as this service "
        "does.",
    )
    s3_region: str = Field(default="us-east-1", description="Region of the S3 bucket.")
    s3_access_key_id: str | None = Field(
        default=None, description="S3 access key; empty: what the machine itself provides."
    )
    s3_secret_access_key: SecretStr | None = Field(default=None, description="Secret of the S3 access key.")
    storage_timeout_s: float = Field(
        default=15.0, gt=0, le=600, description="How long one object-storage request may take, in seconds."
    )
    storage_retries: int = Field(
        default=5,
        ge=0,
        le=20,
        description="How often a storage request is repeated, with back-off, before it fails.",
    )

    # What processes tell of themselves
    tracing: Literal["off", "otlp"] = Field(
        default="off",
        description="`otlp`: spans go to the collector that OpenTelemetry's own variables name "
        "(`OTEL_EXPORTER_OTLP_ENDPOINT`); needs the extra `tracing`.",
    )
    worker_metrics_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port of a worker's own Prometheus metrics, of the first of several; 0: none.",
    )
    worker_metrics_host: str = Field(
        default="127.0.0.1", description="Address on which they are offered; they need no key."
    )

    heartbeat_file: Path | None = Field(
        default=None,
        description="File that a worker, reaper or deliverer touches while it works, for `python -m worker.alive`: a "
        "liveness probe that asks neither Redis nor storage. Empty: none.",
    )

    # The model that a worker serves
    model: str = Field(
        default="demo",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="Name under which this worker offers its checkpoint.",
    )
    checkpoint: str | None = Field(
        default=None,
        description="Folder, hub id, `.safetensors` or `.ckpt` file of a Stable Diffusion 1.x/2.x checkpoint. Empty: "
        "the shipped demo.",
    )
    variant: str | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9_]*$",
        description="Variant of the checkpoint's files, such as `fp16`. Empty: those without one, else the one that "
        "is there.",
    )
    revision: str | None = Field(
        default=None, description="Branch, tag or commit of a checkpoint on the hub. Empty: its main branch."
    )
    vae: str | None = Field(
        default=None, description="Folder, hub id or file of a VAE in place of the checkpoint's own. Empty: its own."
    )
    safety_checker: bool = Field(
        default=True, description="Load the checkpoint's safety checker, if it has one; `false` leaves it out."
    )
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="Where the worker computes: `auto` (CUDA if there is one), `cpu`, `cuda` or `cuda:1`.",
    )
    dtype: DType = Field(
        default="auto", description="Number format of the model; `auto`: bfloat16 on CUDA, float32 on CPU."
    )
    low_memory: bool = Field(
        default=False,
        description="Keep on the GPU only the part of the model that computes, and compute again what a backward pass "
        "needs in place of keeping it, for each result by itself: for small cards; slower.",
    )
    batch_results: int = Field(
        default=BATCH_RESULTS,
        ge=1,
        le=64,
        description="How many results of one edit may go through the model in one batch, with `mag-edit`, `p2p` and "
        "`pnp`: more take less time and more memory; 1 with `MAGEDIT_LOW_MEMORY`.",
    )
    threads: int = Field(default=1, ge=1, le=256, description="CPU threads of the worker's computation.")

    safety: Literal["flag", "withhold"] = Field(
        default="flag",
        description="What becomes of a result that the checkpoint's safety checker, if it has one, objects to: `flag` "
        "(`measures.nsfw_content_detected` tells) or `withhold` (the edit fails with `content_withheld`, nothing is "
        "kept).",
    )

    warn_reconstruction_db: float = Field(
        default=Thresholds.reconstruction_db,
        ge=0,
        le=100,
        description="A picture that the model gives back with less than this inside the mask (PSNR, dB) has the "
        "warning `poor_reconstruction`; 0: none.",
    )
    warn_no_effect_levels: float = Field(
        default=Thresholds.no_effect_levels,
        ge=0,
        le=255,
        description="A result that differs inside the mask by less than this (mean of 255 levels) has the warning "
        "`no_effect`; 0: none.",
    )

    # Front end
    auth: Literal["off", "keys"] = Field(
        default="off",
        description="`keys`: every call needs an API key (`magedit keys create`). `off`: none does, all edits are one "
        "tenant's, and there are no limits; for use on one machine.",
    )
    api_host: str = Field(default="127.0.0.1", description="Address on which the front end listens.")
    api_port: int = Field(
        default=8000, ge=0, le=65535, description="Port on which the front end listens; 0: any free one."
    )
    allow_anonymous: bool = Field(
        default=False,
        validate_default=True,
        description="Listen on another address than loopback although `MAGEDIT_AUTH` is `off`: whoever reaches it, by "
        "whatever name and from whatever web page, may do everything.",
    )
    key_cache_s: float = Field(
        default=5.0,
        ge=0,
        le=300,
        description="How long a front end remembers an API key, in seconds; so long a revoked one may still open.",
    )
    model_cache_s: float = Field(
        default=0.25,
        ge=0,
        le=60,
        description="How long a front end remembers, for its estimates, which models are served and how fast, in "
        "seconds; by default as long as workers keep progress to themselves.",
    )
    requests_per_minute: int = Field(
        default=1200,
        ge=0,
        description="Requests a minute of a tenant whose key sets no limit of its own; 0: any number. This and the "
        "next three hold with `MAGEDIT_AUTH=keys` only.",
    )
    submits_per_minute: int = Field(default=120, ge=0, description="New edits a minute, likewise.")
    unfinished_limit: int = Field(
        default=200, ge=0, description="Edits of a tenant that may be unfinished at a time, likewise."
    )
    unet_passes_per_month: int = Field(
        default=0,
        ge=0,
        description="UNet passes of a tenant's succeeded edits in a calendar month (UTC), likewise; beyond it, new "
        "edits get 402.",
    )
    idempotency_ttl_s: float = Field(
        default=DAY_S,
        gt=0,
        description="How long an `Idempotency-Key` stands for the edit that it was accepted with, in seconds.",
    )
    idempotency_lease_s: float = Field(
        default=30.0,
        gt=0,
        le=600,
        description="How long a front end that died while it accepted an edit blocks the edit's `Idempotency-Key`, in "
        "seconds.",
    )
    max_wait_s: int = Field(
        default=60, ge=0, le=600, description="Longest wait that `Prefer: wait=n` is granted, in seconds; 0: none."
    )
    metrics_open: bool = Field(
        default=False,
        description="With `MAGEDIT_AUTH=keys`: `/metrics` needs no key. Else it needs one with the scope "
        "`metrics:read`.",
    )
    redirect_results: bool = Field(
        default=False,
        description="With S3: results and artifacts are answered with a redirect to a presigned address of the S3 "
        "server, unless a request says `?redirect=false`. Else only if it says `?redirect=true`.",
    )
    presign_s: float = Field(
        default=300.0,
        ge=1,
        le=7 * DAY_S,
        description="How long such an address opens, in seconds; at most until the edit expires.",
    )
    max_upload_bytes: int = Field(default=20 * MIB, ge=1, description="Largest uploaded file, in bytes.")
    max_body_bytes: int = Field(
        default=64 * MIB, ge=1, description="Largest request body, all uploaded files together, in bytes."
    )
    body_idle_s: float = Field(
        default=30.0,
        gt=0,
        le=3600,
        description="Longest pause in a request body that is being sent, in seconds; then it gets 408, and so it does "
        "if for that long and on the whole it comes to less than 1 KiB a second.",
    )
    max_pixels: int = Field(default=25_000_000, ge=1, description="Largest image, in pixels (width x height).")
    max_side: int = Field(default=8192, ge=1, description="Longest side of an image, in pixels.")
    submits_at_a_time: int = Field(
        default=4,
        ge=1,
        le=40,
        description="Uploads that one front end decodes and stores at a time; others wait, for at most 30 s, then get "
        "503. Each may take 16 bytes of memory a pixel, 400 MB for the largest by default.",
    )
    max_regions: int = Field(default=8, ge=1, le=64, description="Most regions (masks) of one edit.")
    max_results: int = Field(
        default=8, ge=1, le=64, description="Most results of one edit: its `n` times the strengths of its `sweep`."
    )
    default_model: str = Field(
        default="demo",
        description="Model of a request that names none. Not set: the only model that is served, where it is only one.",
    )
    queue_limit: int = Field(
        default=1000,
        ge=1,
        description="Most edits that may be unfinished at a time; beyond it, new ones get 503.",
    )

    # The life of a job
    result_ttl_s: float = Field(
        default=7 * DAY_S, gt=0, description="How long a finished edit and its pictures are kept, in seconds."
    )
    inversion_ttl_s: float = Field(
        default=7 * DAY_S,
        ge=0,
        description="How long an inversion is kept for further edits of the same picture, in seconds; 0: never.",
    )
    max_attempts: int = Field(
        default=3,
        ge=1,
        le=100,
        description="How often an edit is started before its workers' deaths fail it.",
    )
    lease_s: float = Field(
        default=15.0,
        gt=0,
        le=600,
        description="How long a worker owns an edit without renewing its lease, in seconds.",
    )
    reaper_interval_s: float = Field(
        default=1.0,
        gt=0,
        le=600,
        description="Pause between two sweeps, whichever of the reapers makes them, in seconds.",
    )
    reaper_grace_s: float = Field(
        default=2.0,
        ge=0,
        le=600,
        description="How long an unfinished edit may be in no queue and under no lease, in seconds; then it is "
        "requeued.",
    )
    orphan_age_s: float = Field(
        default=DAY_S,
        ge=60,
        description="How old pictures that no edit knows must be to be removed, in seconds. An edit whose acceptance "
        "takes longer is refused: by far more than the clocks of front ends and Redis differ.",
    )
    orphan_interval_s: float = Field(
        default=3600.0, gt=0, description="Pause between two searches of storage for such pictures, in seconds."
    )
    watchdog_s: float = Field(
        default=180.0,
        gt=0,
        description="A worker whose edit makes no step for so long ends itself, to be started anew; seconds.",
    )
    stop_grace_s: float = Field(
        default=20.0,
        ge=0,
        description="How long a stopping worker may finish its edit before handing it back, in seconds.",
    )
    storage_patience_s: float = Field(
        default=300.0,
        ge=0,
        description="How long an attempt waits for storage that is away, in seconds; then the edit waits for another.",
    )
    progress_interval_s: float = Field(
        default=0.25,
        ge=0,
        le=60,
        description="Shortest time between two saves of an edit's progress, in seconds.",
    )

    webhook_timeout_s: float = Field(
        default=15.0, gt=0, le=120, description="How long one delivery of a webhook may take, in seconds."
    )
    webhook_private: bool = Field(
        default=False,
        description="Webhooks may go to `http://` addresses and into private networks: whoever submits edits can then "
        "make this service call what is there.",
    )

    @field_validator("allow_anonymous")
    @classmethod
    def _keys_or_loopback(cls, allowed: bool, info: ValidationInfo) -> bool:
        host, auth = info.data.get("api_host", "localhost"), info.data.get("auth")
        if auth == "off" and not allowed and not is_loopback(host):
            raise ValueError(
                f"the front end would listen on {host!r} without asking for API keys: set MAGEDIT_AUTH=keys, or "
                "MAGEDIT_API_HOST to a loopback address, or this to true if whoever reaches it may do everything"
            )
        return allowed


ENV_PREFIX = str(Settings.model_config["env_prefix"])

OTHER_VARIABLES = frozenset({"MAGEDIT_API_KEY"})
"""Variables of this prefix that are no settings: the key that the command line calls a service with."""


def unknown_variables(environment: Mapping[str, str] = os.environ) -> list[str]:
    """A sentence for each variable that has the prefix of the settings and is none of them."""
    known = {ENV_PREFIX + name.upper() for name in Settings.model_fields} | OTHER_VARIABLES
    unknown = sorted(name for name in environment if name.upper().startswith(ENV_PREFIX) and name.upper() not in known)
    return [f"the variable {name} is not a setting and has no effect{_meant(name, known)}" for name in unknown]


def _meant(name: str, known: frozenset[str] | set[str]) -> str:
    nearest = get_close_matches(name.upper(), sorted(known), n=1, cutoff=0.75)
    return f": did you mean {nearest[0]}?" if nearest else ""


def explain(error: ValidationError) -> str:
    """What is wrong with the settings, by the names of their variables."""
    return "; ".join(
        f"{ENV_PREFIX}{'_'.join(str(part) for part in each['loc']).upper()}: {each['msg']}" for each in error.errors()
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address. A name other than `localhost` may lead anywhere."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
