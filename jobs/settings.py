"""Settings of every process, each defined once, read from `MAGEDIT_...` variables.

Nothing is read at import: each entry point builds one `Settings()` and passes it down.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from magedit.assessment import Thresholds
from magedit.config.loras import LoraSpec
from magedit.passes import BATCH_RESULTS
from magedit.report import PREVIEW_INTERVAL_S

DType = Literal["auto", "float32", "bfloat16", "float16"]
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
MIB = 2**20
DAY_S = 24 * 3600


class Settings(BaseSettings):
    """Typed settings; docs/reference/settings.md is generated from the descriptions below."""

    model_config = SettingsConfigDict(env_prefix="MAGEDIT_", frozen=True, extra="forbid")

    # Shared state
    redis_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        repr=False,
        description="Address of the Redis with job records and queue: `redis://`, `rediss://` or `unix://`.",
    )
    redis_password: SecretStr | None = Field(
        default=None,
        description="Password of Redis, not percent-encoded. A password in the address takes precedence.",
    )
    redis_timeout_s: float = Field(
        default=5.0,
        gt=0,
        le=60,
        description="Timeout of one Redis command or connection attempt, in seconds.",
    )
    redis_retries: int = Field(
        default=4,
        ge=0,
        le=20,
        description="Retries of a Redis command, with back-off, while Redis is away.",
    )
    state_dir: Path = Field(
        default=Path(".state"),
        description="Folder of local state: objects, embedded Redis.",
    )
    storage_url: str | None = Field(
        default=None,
        description="Object storage for images: `file:///absolute/folder`, `s3://bucket/prefix` or `memory:` (one "
        "process). Empty: the folder `objects` in the state folder.",
    )
    s3_endpoint: str | None = Field(
        default=None, description="Address of an S3 server other than AWS; `http://` is allowed."
    )
    s3_public_endpoint: str | None = Field(
        default=None,
        description="Address at which callers reach the S3 server, for presigned URLs. Empty: the one that this "
        "service uses.",
    )
    s3_region: str = Field(default="us-east-1", description="Region of the S3 bucket.")
    s3_access_key_id: str | None = Field(
        default=None, description="S3 access key. Empty: the machine's own credentials."
    )
    s3_secret_access_key: SecretStr | None = Field(default=None, description="Secret of the S3 access key.")
    storage_timeout_s: float = Field(
        default=15.0, gt=0, le=600, description="Timeout of one object-storage request, in seconds."
    )
    storage_retries: int = Field(
        default=5,
        ge=0,
        le=20,
        description="Retries of a storage request, with back-off, before it fails.",
    )

    # Observability
    tracing: Literal["off", "otlp"] = Field(
        default="off",
        description="`otlp`: export spans to the collector that OpenTelemetry's own variables name "
        "(`OTEL_EXPORTER_OTLP_ENDPOINT`); needs the extra `tracing`.",
    )
    worker_metrics_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port of a worker's Prometheus metrics (the first worker's, if there are several); 0: none.",
    )
    worker_metrics_host: str = Field(
        default="127.0.0.1", description="Address on which workers serve their metrics, without a key."
    )

    heartbeat_file: Path | None = Field(
        default=None,
        description="File that a worker, reaper or deliverer touches while it works, for the liveness probe "
        "`python -m worker.alive`, which needs neither Redis nor storage. Empty: none.",
    )

    # The model that a worker serves
    model: ModelName = Field(
        default="demo",
        description="Name under which this worker serves its checkpoint.",
    )
    checkpoint: str | None = Field(
        default=None,
        description="Folder, hub id, `.safetensors` or `.ckpt` file of a checkpoint (`magedit models check`). Empty: "
        "the shipped demo.",
    )
    variant: str | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9_]*$",
        description="Variant of the checkpoint's files, such as `fp16`. Empty: files without a variant, else the "
        "only one present.",
    )
    revision: str | None = Field(
        default=None, description="Branch, tag or commit of a checkpoint on the hub. Empty: its main branch."
    )
    vae: str | None = Field(
        default=None, description="Folder, hub id or file of a VAE that replaces the checkpoint's own. Empty: its own."
    )
    further_models: dict[ModelName, str] = Field(
        default_factory=dict,
        description="Further checkpoints of this worker, a JSON object of names and folders, hub ids or files: each is "
        "a model with a queue of its own, loaded when an edit for it comes. The worker's other settings hold for all.",
    )
    model_memory_mib: int = Field(
        default=0,
        ge=0,
        description="Memory for the weights of a worker's loaded checkpoints together, in MiB: the one unused for "
        "longest is unloaded to make room. 0: all stay loaded.",
    )
    declare_model: bool = Field(
        default=False,
        description="Declare the worker's model: it takes edits after the worker has ended too, and they wait for the "
        "next one (`magedit models forget` ends that). For autoscalers that go down to zero.",
    )
    segmenter: str | None = Field(
        default=None,
        description="Folder or hub id of a model in SAM's layout that finds masks by points and boxes, beside the "
        "checkpoint. Empty: with a checkpoint of the demo the segmenter that ships, with others their own attention, "
        "which is coarser. `none`: attention in any case.",
    )
    detector: str | None = Field(
        default=None,
        description="Folder or hub id of a detector (Grounding DINO, OWL-ViT, OWLv2) that finds masks by words. Empty: "
        "the checkpoint's own attention does.",
    )
    lora_dir: Path | None = Field(
        default=None,
        description="Folder of LoRA files (`.safetensors`) that requests may name (`lora`). Empty: none.",
    )
    loras: tuple[LoraSpec, ...] = Field(
        default=(),
        description='LoRAs of `MAGEDIT_LORA_DIR` that the worker adds to its checkpoint for good: `["name:0.8"]`.',
    )
    embedding_dir: Path | None = Field(
        default=None,
        description="Folder of textual inversion embeddings (`.safetensors`, `.pt`, `.bin`) that the worker adds to "
        "its checkpoint: each is a word of prompts by its file's name. Empty: none.",
    )
    safety_checker: bool = Field(
        default=True, description="Load the checkpoint's safety checker, if it has one; `false` leaves it out."
    )
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="Device of the worker: `auto` (CUDA if available), `cpu`, `cuda` or `cuda:1`.",
    )
    dtype: DType = Field(
        default="auto", description="Number format of the model; `auto`: bfloat16 on CUDA, float32 on CPU."
    )
    low_memory: bool = Field(
        default=False,
        description="Offload idle parts of the model from the GPU, recompute activations in backward passes, and "
        "compute each result by itself: for small cards; slower.",
    )
    batch_results: int = Field(
        default=BATCH_RESULTS,
        ge=1,
        le=64,
        description="Most results of one edit in one batch, with `mag-edit`, `p2p` and `pnp`: more take less time and "
        "more memory; 1 with `MAGEDIT_LOW_MEMORY`.",
    )
    threads: int = Field(default=1, ge=1, le=256, description="CPU threads of the worker's computation.")

    safety: Literal["flag", "withhold"] = Field(
        default="flag",
        description="Treatment of a result that the checkpoint's safety checker, if any, flags: `flag` "
        "(`measures.nsfw_content_detected` is true) or `withhold` (the edit fails with `content_withheld`, nothing "
        "is kept).",
    )

    warn_reconstruction_db: float = Field(
        default=Thresholds.reconstruction_db,
        ge=0,
        le=100,
        description="PSNR (dB) of the reconstructed picture inside the mask below which an edit has the warning "
        "`poor_reconstruction`; 0: never.",
    )
    warn_no_effect_levels: float = Field(
        default=Thresholds.no_effect_levels,
        ge=0,
        le=255,
        description="Mean change inside the mask, in levels of 255, below which a result has the warning "
        "`no_effect`; 0: never.",
    )
    warn_guidance_rise: float = Field(
        default=Thresholds.guidance_rise,
        ge=0,
        le=1,
        description="Relative rise of the words' ratios below which a guided result has the warning "
        "`no_guidance_effect`; 0: never.",
    )

    warn_hopeless_ratio: float = Field(
        default=Thresholds.hopeless_ratio,
        ge=0,
        le=1,
        description="Words with less than this share of the attention inside their mask, after a few guided steps, "
        "give the running edit the warning `likely_to_fail`; 0: never.",
    )

    # Front end
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
        description="How long `POST /v1/images/edits` waits for the end of its edit, in seconds; then it answers 504, "
        "and the edit goes on.",
    )
    metrics_open: bool = Field(
        default=False,
        description="With `MAGEDIT_AUTH=keys`, serve `/metrics` without a key; otherwise it needs one with the scope "
        "`metrics:read`.",
    )
    redirect_results: bool = Field(
        default=False,
        description="With S3, redirect requests for results and artifacts to presigned URLs of the S3 server, unless "
        "they say `?redirect=false`. Otherwise redirect only those that say `?redirect=true`.",
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
        description="Longest pause in a request body, in seconds, before it gets 408; so does a body that over this "
        "time and overall averages less than 1 KiB per second.",
    )
    max_pixels: int = Field(default=25_000_000, ge=1, description="Largest image, in pixels (width x height).")
    max_side: int = Field(default=8192, ge=1, description="Longest side of an image, in pixels.")
    submits_at_a_time: int = Field(
        default=4,
        ge=1,
        le=40,
        description="Uploads that one front end decodes and stores at a time; others wait up to 30 s, then get 503. "
        "Each may take 16 bytes of memory per pixel, by default up to 400 MB.",
    )
    max_regions: int = Field(default=8, ge=1, le=64, description="Most regions (masks) of one edit.")
    max_results: int = Field(
        default=8, ge=1, le=64, description="Most results of one edit: its `n` times the strengths of its `sweep`."
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
        description="Attempts at an edit whose workers die, before it fails.",
    )
    lease_s: float = Field(
        default=15.0,
        gt=0,
        le=600,
        description="Lease of a worker on its edit, in seconds; it is renewed while the edit runs.",
    )
    reaper_interval_s: float = Field(
        default=1.0,
        gt=0,
        le=600,
        description="Pause between two sweeps of the reapers together, in seconds.",
    )
    reaper_grace_s: float = Field(
        default=2.0,
        ge=0,
        le=600,
        description="How long an unfinished edit may be in no queue and under no lease, in seconds, before it is "
        "requeued.",
    )
    orphan_age_s: float = Field(
        default=DAY_S,
        ge=60,
        description="Age at which stored pictures without an edit are removed, in seconds. An edit whose acceptance "
        "takes longer is refused. Must far exceed the clock skew between front ends and Redis.",
    )
    orphan_interval_s: float = Field(
        default=3600.0,
        gt=0,
        description="Pause between two searches of storage for pictures without an edit, in seconds.",
    )
    watchdog_s: float = Field(
        default=180.0,
        gt=0,
        description="Time without progress of an edit after which its worker exits, to be restarted, in seconds.",
    )
    stop_grace_s: float = Field(
        default=20.0,
        ge=0,
        description="How long a stopping worker may take to finish its edit before it requeues it, in seconds.",
    )
    storage_patience_s: float = Field(
        default=300.0,
        ge=0,
        description="How long an attempt waits for unreachable storage, in seconds, before it requeues the edit.",
    )
    progress_interval_s: float = Field(
        default=0.25,
        ge=0,
        le=60,
        description="Shortest time between two saves of an edit's progress, in seconds.",
    )

    preview_interval_s: float = Field(
        default=PREVIEW_INTERVAL_S,
        ge=0,
        le=600,
        description="Shortest time between two previews of a running edit, in seconds; 0: there are none, and with "
        "`MAGEDIT_SAFETY=withhold` neither.",
    )

    webhook_timeout_s: float = Field(
        default=15.0, gt=0, le=120, description="Timeout of one webhook delivery, in seconds."
    )
    webhook_private: bool = Field(
        default=False,
        description="Allow webhooks to `http://` addresses and into private networks: anyone who may submit edits can "
        "then make this service call hosts there.",
    )

    instruction_url: str | None = Field(
        default=None,
        pattern=r"^($|https?://[^\s/]+)",
        description="Base address of an OpenAI-compatible API whose chat endpoint reads `instruction`, such as "
        "`http://127.0.0.1:11434/v1`. Empty: rules for English do; they also do where it gives no answer.",
    )
    instruction_model: str = Field(
        default="gpt-4o-mini", min_length=1, description="The model that is asked for there."
    )
    instruction_key: SecretStr | None = Field(default=None, description="API key for it. Empty: none is sent.")
    instruction_timeout_s: float = Field(
        default=10.0,
        gt=0,
        le=120,
        description="Longest wait for a connection to it, and then for its answer, in seconds. After a wait in vain "
        "rules read instructions for half a minute.",
    )

    @field_validator("further_models")
    @classmethod
    def _names_of_their_own(cls, further: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if (model := info.data.get("model")) in further:
            raise ValueError(f"{model!r} is the worker's own model (MAGEDIT_MODEL): give this checkpoint another name")
        return further

    @field_validator("allow_anonymous")
    @classmethod
    def _keys_or_loopback(cls, allowed: bool, info: ValidationInfo) -> bool:
        host, auth = info.data.get("api_host", "localhost"), info.data.get("auth")
        if auth == "off" and not allowed and not is_loopback(host):
            raise ValueError(
                f"the front end would listen on {host!r} without API keys: set MAGEDIT_AUTH=keys, or "
                "MAGEDIT_API_HOST to a loopback address, or this to true if anyone who reaches it may have full access"
            )
        return allowed


ENV_PREFIX = str(Settings.model_config["env_prefix"])

OTHER_VARIABLES = frozenset({"MAGEDIT_API_KEY"})
"""Variables with this prefix that are not settings: the command line's API key."""


def unknown_variables(environment: Mapping[str, str] = os.environ) -> list[str]:
    """A sentence for each variable with the settings' prefix that is not a setting."""
    known = {ENV_PREFIX + name.upper() for name in Settings.model_fields} | OTHER_VARIABLES
    unknown = sorted(name for name in environment if name.upper().startswith(ENV_PREFIX) and name.upper() not in known)
    return [f"the variable {name} is not a setting and has no effect{_meant(name, known)}" for name in unknown]


def _meant(name: str, known: frozenset[str] | set[str]) -> str:
    nearest = get_close_matches(name.upper(), sorted(known), n=1, cutoff=0.75)
    return f": did you mean {nearest[0]}?" if nearest else ""


def explain(error: ValidationError) -> str:
    """One text that names each invalid setting by its variable."""
    return "; ".join(
        f"{ENV_PREFIX}{'_'.join(str(part) for part in each['loc']).upper()}: {each['msg']}" for each in error.errors()
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address. Names other than `localhost` do not count."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
