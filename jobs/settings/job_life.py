"""Settings of a job's life: retention, leases, reaper, watchdog, previews, webhooks."""

from __future__ import annotations

from pydantic import BaseModel, Field

from magedit.measures.report import PREVIEW_INTERVAL_S

DAY_S = 24 * 3600


class JobSettings(BaseModel):
    """How long jobs are kept, held and waited for."""

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
        description="Shortest time between two previews of a running edit, in seconds; 0: no previews. There are "
        "none with `MAGEDIT_SAFETY=withhold` either.",
    )

    webhook_timeout_s: float = Field(
        default=15.0, gt=0, le=120, description="Timeout of one webhook delivery, in seconds."
    )
    webhook_private: bool = Field(
        default=False,
        description="Allow webhooks to `http://` addresses and private networks: anyone who may submit edits can "
        "then make this service call hosts there.",
    )
