"""Data shared by front end and workers: request, record, results."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from jobs.errors import RecordUnreadable
from magedit.config import EditConfig
from magedit.edits.resolved import ResolvedEdit
from magedit.errors import NotTogether
from magedit.masks.candidates import Candidate, Finder
from magedit.masks.shapes import MaskPrompt, MaskShape
from magedit.measures.report import EditMeasures, EditWarning, Progress, ResultMeasures

OutputFormat = Literal["png", "jpeg", "webp"]
ArtifactName = Literal["attention", "trace", "difference", "crop"]
# In the order of service.
Priority = Literal["high", "normal", "low"]
EditPriority = Literal["normal", "low"]
JobKind = Literal["edit", "mask"]
# Bounds in seconds: the shortest useful time for a caller, and the default retention of results.
DeadlineS = Annotated[float, Field(ge=1, le=7 * 24 * 3600)]
# A tenant's name is part of storage keys and Redis keys.
Tenant = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]

UNREADABLE = (
    "Another version of this service wrote the record of this edit, or it is damaged. It can be canceled and deleted; "
    "to get a result, submit it again."
)

_ID = re.compile(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}")
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
CONTENT_TYPES: dict[OutputFormat, str] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


def new_id() -> str:
    """A job id: 32 hex digits in UUIDv7 layout (RFC 9562, 5.7), so that ids sort by creation time.

    74 of its bits are random: an id cannot be guessed.
    """
    milliseconds = time.time_ns() // 1_000_000
    random_a, random_b = secrets.randbits(12), secrets.randbits(62)
    return f"{milliseconds << 80 | 7 << 76 | random_a << 64 | 2 << 62 | random_b:032x}"


def id_time(job_id: str) -> float | None:
    """Creation time of a job id, in Unix seconds by its creator's clock; None if it is not a job id."""
    return int(job_id[:12], 16) / 1000 if _ID.fullmatch(job_id) else None


class State(StrEnum):
    """The states of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_terminal(self) -> bool:
        """Whether the job is over; a terminal state never changes."""
        return self in {State.SUCCEEDED, State.FAILED, State.CANCELED}


def _each_once(names: tuple[ArtifactName, ...]) -> tuple[ArtifactName, ...]:
    return tuple(dict.fromkeys(names))


class Frozen(BaseModel):
    """Base of the schema: immutable, and a name that is not a field is an error.

    Instances are validated again where they are nested, so that every stored value can be read back.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", revalidate_instances="always")


class JobOptions(Frozen):
    """Options of the job beside the edit: fields of the form and of the record."""

    output_format: OutputFormat = Field(default="png", description="Image format of the result.")
    output_compression: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="Quality of a `jpeg` or `webp` result: for JPEG 0..100 (empty: 95); for WebP, values below 100 "
        "are lossy (empty or 100: lossless).",
    )
    artifacts: Annotated[tuple[ArtifactName, ...], AfterValidator(_each_once)] = Field(
        default=(),
        max_length=8,
        description="Additional files to keep, repeatable: `attention` (the words' maps without and with "
        "guidance, their mean and over the steps; costs one unguided edit), `trace` (ratios and losses per step, as "
        "JSON and as a plot), `difference` (what changed, amplified), `crop` (the square that was worked on, with the "
        "mask's outline).",
    )
    priority: EditPriority = Field(
        default="normal", description="`low`: the edit starts only while no `normal` one waits for the same model."
    )
    stop_if_hopeless: bool = Field(
        default=False,
        description="End the edit with the code `hopeless` as soon as its guided steps show that it would fail; "
        "otherwise it continues with the warning `likely_to_fail`.",
    )
    deadline_s: DeadlineS | None = Field(
        default=None,
        description="Seconds from acceptance within which a worker must start the edit; otherwise it fails with the "
        "code `deadline`. A started edit may finish, but is not restarted after the deadline if its "
        "worker is lost.",
    )


def check_options(options: JobOptions, configs: Sequence[EditConfig]) -> None:
    """Check that the options are compatible with each other and with the edit's ``configs``. Raises NotTogether."""
    if options.stop_if_hopeless and any(config.selects for config in configs):
        raise NotTogether(
            "selection 'likelihood' tries another way where guided steps predict failure: leave stop_if_hopeless or "
            "selection out",
            field="stop_if_hopeless",
        )
    if options.output_compression is not None and options.output_format == "png":
        raise NotTogether(
            "`png` is lossless and has no quality: leave output_compression out, or use `jpeg` or `webp`",
            field="output_compression",
        )


class EditRequest(ResolvedEdit, JobOptions):
    """Work order for a worker: the resolved edit and the job's options. The images are in storage."""

    model: str
    find: tuple[MaskShape | None, ...] = Field(
        default=(),
        description="The mask prompt of each region for the worker; null: the mask was given. Empty: all masks were "
        "given.",
    )

    @property
    def to_find(self) -> dict[int, MaskShape]:
        """The masks to locate, by region."""
        return {number: shape for number, shape in enumerate(self.find) if shape is not None}

    @property
    def finds_by_instruction(self) -> bool:
        """Whether the words that locate the mask come from the instruction."""
        if self.instruction is None or self.instruction.phrase is None:
            return False
        return self.find == (self.instruction.shape,)


class MaskRequest(MaskPrompt):
    """A mask to locate: a small job that runs before all edits."""

    model_config = ConfigDict(frozen=True, extra="forbid", revalidate_instances="always")

    schema_version: Literal[1] = 1
    model: str
    priority: Literal["high"] = "high"
    deadline_s: DeadlineS | None = Field(
        default=None, description="Seconds from acceptance within which a worker must start."
    )

    warnings: ClassVar[tuple[EditWarning, ...]] = ()


class FieldError(Frozen):
    """One offending parameter of a problem."""

    field: str
    message: str
    values: dict[str, Any] = Field(
        default={},
        description="Figures and words of the message: `minimum`, `maximum`, `type` (`integer`, `number`) of "
        "`invalid_request`; `tokens`, `max_tokens` of `prompt_too_long`; `unknown_words` of `prompt_not_supported`; "
        "`word` of `word_not_in_target_prompt`. More may be added.",
    )


class Problem(Frozen):
    """Problem details (RFC 9457) with a stable `code`; `errors` names the offending parameters."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    errors: tuple[FieldError, ...] = ()


class StoredObject(Frozen):
    """An object in storage. ``size`` in bytes, ``width`` and ``height`` in pixels (None: not an image)."""

    name: str
    key: str
    content_type: str
    size: int
    sha256: str
    width: int | None = None
    height: int | None = None


class JobRecord(Frozen):
    """Authoritative record of one edit. Times are Unix seconds by the clock of Redis.

    ``attempt`` counts the starts and is the fencing token of the commit; ``handed_back`` counts the starts that a
    stopping worker returned to the queue, which do not count towards the attempt limit.
    """

    id: str = Field(default_factory=new_id)
    kind: JobKind = "edit"
    tenant: Tenant
    request: EditRequest
    image: str = Field(description="Storage key of the input image.")
    masks: tuple[str, ...] = Field(description="Storage keys of the given masks, in the order of the regions.")
    source_edit: str | None = Field(default=None, description="The edit whose result the input image is a copy of.")
    source_result: int | None = Field(default=None, description="Index of that result.")
    ancestors: tuple[str, ...] = Field(default=(), description="The edits before this one, oldest first.")
    webhook_url: str | None = Field(default=None, description="Address notified at the end of the job.")
    request_id: str | None = Field(default=None, description="Id of the HTTP request that created it.")
    traceparent: str | None = Field(default=None, description="That request's trace context (W3C Trace Context).")
    revision: int = Field(default=0, description="Increases with every change of the record.")
    state: State = State.QUEUED
    attempt: int = 0
    handed_back: int = 0
    cancel_requested: bool = False
    worker: str | None = None
    created_at: float = 0.0
    deadline_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    expires_at: float | None = None
    progress: Progress | None = None
    measures: EditMeasures | None = None
    assessment: tuple[EditWarning, ...] = Field(default=(), description="The worker's warnings about the results.")
    results: tuple[StoredObject, ...] = ()
    artifacts: tuple[StoredObject, ...] = ()
    problem: Problem | None = None

    @property
    def further_passes(self) -> int:
        """The minimum number of UNet passes of its results after the first."""
        return (self.request.results - 1) * self.request.config.steps

    @property
    def model(self) -> str:
        """The model that the edit runs on."""
        return self.request.model

    @property
    def priority(self) -> Priority:
        """Priority of the edit in its model's queue."""
        return self.request.priority

    @property
    def seed(self) -> int | None:
        """The seed of the first result."""
        return self.request.config.seed

    @property
    def warnings(self) -> tuple[EditWarning, ...]:
        """Warnings of resolving and of the results."""
        return (*self.request.warnings, *self.assessment)

    def result_measures(self, number: int) -> ResultMeasures | None:
        """Measures of result ``number`` alone."""
        results = self.measures.results if self.measures else ()
        return results[number] if number < len(results) else None

    def is_expired(self, now: float) -> bool:
        """Whether the results have expired at ``now`` (Unix seconds)."""
        return self.expires_at is not None and now >= self.expires_at


class MaskRecord(JobRecord):
    """The truth about one mask: found in ``image``, its candidates described in the order of the results."""

    kind: JobKind = "mask"
    request: MaskRequest  # type: ignore[assignment]
    masks: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    found_by: Finder | None = None

    @property
    def further_passes(self) -> int:
        """None: a mask has no further results."""
        return 0

    @property
    def seed(self) -> None:
        """None: a mask involves no randomness."""
        return


class UnreadableRecord(Frozen):
    """Readable part of a record of another version: enough to show, cancel and delete the edit."""

    id: str
    kind: JobKind = "edit"
    tenant: str
    model: str = Field(default="", description="Empty: also unreadable.")
    priority: Priority = "normal"
    webhook_url: str | None = None
    request_id: str | None = None
    traceparent: str | None = None
    revision: int = 0
    state: State = State.FAILED
    attempt: int = 0
    cancel_requested: bool = False
    created_at: float = 0.0
    deadline_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    expires_at: float | None = None

    # The remaining fields of a `JobRecord`, so that one function renders both.
    request: ClassVar[None] = None
    source_edit: ClassVar[None] = None
    source_result: ClassVar[None] = None
    seed: ClassVar[None] = None
    progress: ClassVar[None] = None
    measures: ClassVar[None] = None
    ancestors: ClassVar[tuple[str, ...]] = ()
    warnings: ClassVar[tuple[EditWarning, ...]] = ()
    results: ClassVar[tuple[StoredObject, ...]] = ()
    artifacts: ClassVar[tuple[StoredObject, ...]] = ()

    @property
    def problem(self) -> Problem:
        """Explains why the request is not shown."""
        return Problem(
            title="The edit's record cannot be read",
            status=500,
            detail=UNREADABLE,
            code=RecordUnreadable.code,
        )


AnyRecord = JobRecord | UnreadableRecord
