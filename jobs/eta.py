"""Estimated time until an edit finishes, from measured paces. Pure."""

from __future__ import annotations

from jobs.models import ModelStatus
from jobs.schema import AnyRecord, State
from magedit.measures.meter import relative_work

# Below this finished fraction an edit's own pace predicts nothing yet.
MEASURABLE_FRACTION = 0.1


def estimate(record: AnyRecord, position: int | None, model: ModelStatus | None, now: float) -> float | None:
    """Seconds until the edit finishes; None if unknown or already finished.

    Args:
        record: the edit.
        position: edits ahead of it in the queue (`JobQueue.position`).
        model: the model's measured pace and live workers; queued edits are assumed to have as many steps as this one.
        now: Unix seconds by the clock of Redis.
    """
    if record.state is State.RUNNING and record.progress and record.started_at:
        fraction = record.progress.fraction
        if fraction >= MEASURABLE_FRACTION:
            return max(0.0, now - record.started_at) * (1 - fraction) / fraction
    if (
        record.request is None
        or record.state.is_terminal
        or model is None
        or model.step_seconds is None
        or model.workers == 0
    ):
        return None
    whole = model.step_seconds * sum(config.steps * relative_work(config) for config in record.request.configs)
    if record.state is State.RUNNING:
        return max(0.0, whole - (now - (record.started_at or now)))
    return whole * (1 + (position or 0) / model.workers)
