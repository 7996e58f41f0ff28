"""Public view of an edit's record: links, times and an estimate; no storage key, tenant or worker."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from jobs.eta import estimate
from jobs.models import ModelStatus
from jobs.schema import AnyRecord, EditRequest, JobRecord, Priority, Problem, State, StoredObject
from magedit.measures.report import EditMeasures, EditWarning, Progress

EDITS = "/v1/edits"


class View(BaseModel):
    """Base of the response models."""

    model_config = ConfigDict(frozen=True)


class Links(View):
    """Links, as paths on this server."""

    self: str
    result: str
    artifacts: str
    events: str
    preview: str
    cancel: str


class File(View):
    """A downloadable picture. ``size`` in bytes, ``width`` and ``height`` in pixels."""

    name: str
    href: str = Field(description="Path on this server.")
    content_type: str
    size: int
    sha256: str
    width: int | None
    height: int | None


class Result(File):
    """A result. The same edit with this method, seed and strength reproduces these bytes on the same device."""

    method: str | None
    seed: int | None
    strength: float | None


class Timings(View):
    """Times, and durations in seconds."""

    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    waiting_s: float | None = Field(description="From acceptance to the start of the last attempt.")
    running_s: float | None = Field(description="From the start of the last attempt to the end.")


class Edit(View):
    """The current state of an edit."""

    id: str
    state: State
    model: str
    request: EditRequest | None = Field(description="null: the record cannot be read, see `problem`.")
    source_edit: str | None = Field(
        description="The edit whose result was edited further; null: the image was uploaded."
    )
    source_result: int | None
    history: tuple[str, ...] = Field(
        description="Ids of the chain of edits, from the first to this one; earlier ones may have been deleted."
    )
    priority: Priority
    queue_position: int | None = Field(description="Number of edits ahead in the queue; 0: next.")
    waiting_for: Literal["worker"] | None = Field(
        description="`worker`: waits for a worker, as none serves its (declared) model yet."
    )
    progress: Progress | None
    eta_s: float | None = Field(description="Estimated seconds until it is finished.")
    attempt: int = Field(description="Number of starts; above 1, a worker was lost or stopped.")
    cancel_requested: bool
    seed: int | None
    timings: Timings
    warnings: tuple[EditWarning, ...] = Field(description="Possible problems of the accepted edit.")
    measures: EditMeasures | None
    results: tuple[Result, ...]
    artifacts: tuple[File, ...]
    deadline_at: datetime | None = Field(description="It fails if no worker has started it by then.")
    expires_at: datetime | None = Field(description="Expiry of a finished edit and its pictures.")
    problem: Problem | None = Field(description="Reason for its failure, or why it cannot be shown.")
    webhook_url: str | None = Field(description="Webhook notified at its end.")
    links: Links


class EditPage(View):
    """Edits, newest first."""

    edits: tuple[Edit, ...]
    next_cursor: str | None = Field(description="`cursor` of the next page; null on the last.")


class Files(View):
    """The files of one edit."""

    files: tuple[File, ...]


class Model(View):
    """An available model."""

    name: str
    ready: bool = Field(description="Whether a live worker serves it.")
    declared: bool = Field(description="Whether it accepts edits while no worker serves it; they wait for one.")
    workers: int
    queued: int = Field(description="Number of queued edits.")
    image_size: int = Field(description="Side of its square pictures, in pixels.")
    max_prompt_tokens: int = Field(description="Longest prompt in tokens, including start and end.")
    vocabulary: tuple[str, ...] | None = Field(description="Its closed vocabulary; null: any word.")
    family: str = Field(description="Model family: sd1, sd2, sdxl, sd3, flux, ...")
    domain: str | None = Field(description="Subject of its training pictures; null: unknown.")
    methods: tuple[str, ...]
    inversions: tuple[str, ...]
    finds_by: tuple[str, ...] = Field(
        description="Inputs that `POST /v1/masks` supports with it: `points`, `box`, `words`."
    )
    traits: tuple[str, ...] = Field(description="Traits that decide which methods suit it.")
    unsuited: dict[str, str] = Field(
        description="Methods, inversions and parameters that do not apply to it, each with the reason."
    )
    defaults: dict[str, Any] = Field(description="Its default parameters.")
    loras: tuple[str, ...] = Field(description="Valid names for `lora`.")
    embeddings: tuple[str, ...] = Field(description="Prompt words with learned embeddings.")
    max_clip_skip: int = Field(description="Largest `clip_skip`.")
    device: str
    dtype: str
    step_seconds: float | None = Field(description="Measured seconds per denoising step of an edit with one result.")


class ModelEntry(View):
    """A model in OpenAI's format."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Time of its first announcement, in Unix seconds; 0: unknown.")
    owned_by: Literal["magedit"] = "magedit"


class Models(View):
    """Every model that workers have announced; `object` and `data` are for OpenAI's clients."""

    object: Literal["list"] = "list"
    data: tuple[ModelEntry, ...]

    default: str = Field(description="The model of requests that name no model.")
    models: tuple[Model, ...]


def edit_view(record: AnyRecord, *, position: int | None, model: ModelStatus | None, now: float) -> Edit:
    """The view of ``record`` at ``now`` (Unix seconds), ``position`` in line, with its model's pace."""
    return Edit(
        id=record.id,
        state=record.state,
        model=record.model,
        request=record.request,
        source_edit=record.source_edit,
        source_result=record.source_result,
        history=(*record.ancestors, record.id),
        priority=record.priority,
        queue_position=position,
        waiting_for="worker" if record.state is State.QUEUED and model is not None and not model.workers else None,
        progress=record.progress,
        eta_s=_eta_s(record, position, model, now),
        attempt=record.attempt,
        cancel_requested=record.cancel_requested,
        seed=record.seed,
        timings=seconds_of(record),
        warnings=record.warnings,
        measures=record.measures,
        results=tuple(_result(record, number) for number in range(len(record.results))),
        artifacts=artifact_files(record),
        deadline_at=time_of(record.deadline_at),
        expires_at=time_of(record.expires_at),
        problem=record.problem,
        webhook_url=record.webhook_url,
        links=Links(
            self=path(record),
            result=f"{path(record)}/result",
            artifacts=f"{path(record)}/artifacts",
            events=f"{path(record)}/events",
            preview=f"{path(record)}/preview",
            cancel=f"{path(record)}/cancel",
        ),
    )


def path(record: AnyRecord) -> str:
    """The edit's own path."""
    return f"{EDITS}/{record.id}"


def artifact_files(record: AnyRecord) -> tuple[File, ...]:
    """The edit's artifacts."""
    return tuple(_file(each, f"{path(record)}/artifacts/{each.name}") for each in record.artifacts)


def _eta_s(record: AnyRecord, position: int | None, model: ModelStatus | None, now: float) -> float | None:
    seconds = estimate(record, position, model, now)
    return None if seconds is None else round(seconds, 1)


def seconds_of(record: AnyRecord) -> Timings:
    """Times and durations of an edit."""
    created, started, finished = record.created_at, record.started_at, record.finished_at
    return Timings(
        created_at=datetime.fromtimestamp(created, UTC),
        started_at=time_of(started),
        finished_at=time_of(finished),
        waiting_s=round(started - created, 3) if started is not None else None,
        running_s=round(finished - started, 3) if started is not None and finished is not None else None,
    )


def time_of(seconds: float | None) -> datetime | None:
    """Unix seconds as a time (UTC)."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _result(record: AnyRecord, number: int) -> Result:
    own = record.result_measures(number) if isinstance(record, JobRecord) else None
    return Result(
        href=f"{path(record)}/result/{number}",
        method=own.method if own else None,
        seed=own.seed if own else None,
        strength=own.strength if own else None,
        **record.results[number].model_dump(exclude={"key"}),
    )


def _file(stored: StoredObject, href: str) -> File:
    return File(href=href, **stored.model_dump(exclude={"key"}))
