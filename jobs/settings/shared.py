"""Settings that every process reads: Redis, storage, observability."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr


class SharedSettings(BaseModel):
    """Where the shared state is, and what tells of a process."""

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
        description="Address at which callers reach the S3 server, for presigned URLs. Empty: the service's own.",
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
