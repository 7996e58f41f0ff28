"""Response models of the client; unknown fields of a later service are ignored."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

State = Literal["queued", "running", "succeeded", "failed", "canceled"]

TERMINAL: frozenset[State] = frozenset({"succeeded", "failed", "canceled"})


class ResponseModel(BaseModel):
    """Base of the response models."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class FieldError(ResponseModel):
    """One rejected parameter."""

    field: str
    message: str
    values: dict[str, Any] = {}


class Problem(ResponseModel):
    """Problem details (RFC 9457)."""

    title: str
    status: int
    detail: str
    code: str
    errors: tuple[FieldError, ...] = ()


class Progress(ResponseModel):
    """``step`` of ``steps`` of the stage; ``fraction`` of the whole edit, 0..1."""

    stage: str
    step: int
    steps: int
    fraction: float


class Ratios(ResponseModel):
    """Token ratio and spatial ratio of one region, 0..1."""

    token: float
    spatial: float


class Reconstruction(ResponseModel):
    """PSNR in dB inside the mask of the unedited picture through the VAE, and through the inversion."""

    vae: float
    inversion: float


class ResultMeasures(ResponseModel):
    """One result: ratios, and the change outside the dilated mask (see `ResultMeasures` in the service's contract)."""

    method: str | None = None
    seed: int
    strength: float
    before: tuple[Ratios, ...]
    after: tuple[Ratios, ...]
    outside_difference: int = 0
    outside_sha256: str | None = None
    selected: str | None = None
    likelihood_ratio: float | None = None


class Rle(ResponseModel):
    """COCO run lengths of a mask of ``size`` (height, width)."""

    counts: str | tuple[int, ...]
    size: tuple[int, int]


class MaskCandidate(ResponseModel):
    """One mask found in the picture; ``box`` is x, y, width and height, ``polygon`` its rings of points."""

    score: float
    label: str | None = None
    area: int
    box: tuple[int, int, int, int]
    polygon: tuple[tuple[tuple[float, float], ...], ...]
    rle: Rle
    href: str = ""


class SeenThing(ResponseModel):
    """One thing that matches the words; ``chosen``: included in the mask."""

    box: tuple[float, float, float, float]
    score: float
    chosen: bool


class FoundRegion(MaskCandidate):
    """The mask of a region, found at the start of the edit."""

    region: int
    found_by: str
    seen: tuple[SeenThing, ...] = ()


class Measures(ResponseModel):
    """Measures and cost of an edit; see `EditMeasures` in the service's contract."""

    before: tuple[Ratios, ...]
    after: tuple[Ratios, ...]
    unguided: tuple[Ratios, ...] | None
    words: tuple[tuple[str, ...], ...]
    unet_forward: int
    unet_truncated_forward: int
    unet_backward: int
    stage_seconds: dict[str, float]
    crop: tuple[int, int, int, int]
    outside_difference: int
    paste_margin_px: int
    inversion_reused: bool = False
    reconstruction: Reconstruction | None = None
    nsfw_content_detected: bool | None = None
    results: tuple[ResultMeasures, ...] = ()
    found: tuple[FoundRegion, ...] = ()


class Timings(ResponseModel):
    """Times, and durations in seconds."""

    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    waiting_s: float | None
    running_s: float | None


class File(ResponseModel):
    """A downloadable picture."""

    name: str
    href: str
    content_type: str
    size: int
    sha256: str


class Result(File):
    """A result, and the seed and strength that reproduce it; None: an older service does not report them."""

    seed: int | None = None
    strength: float | None = None


class EditWarning(ResponseModel):
    """A warning about an accepted edit."""

    code: str
    message: str
    field: str | None = None


class Edit(ResponseModel):
    """The current state of an edit."""

    id: str
    state: State
    model: str
    priority: Literal["normal", "low"]
    queue_position: int | None
    waiting_for: str | None = None
    progress: Progress | None
    eta_s: float | None
    attempt: int
    seed: int | None
    timings: Timings
    warnings: tuple[EditWarning, ...] = ()
    measures: Measures | None
    source_edit: str | None = None
    history: tuple[str, ...] = ()
    results: tuple[Result, ...]
    artifacts: tuple[File, ...]
    deadline_at: datetime | None
    expires_at: datetime | None
    problem: Problem | None
    webhook_url: str | None = None

    @property
    def finished(self) -> bool:
        """Whether its state can no longer change."""
        return self.state in TERMINAL


class Preview(ResponseModel):
    """A rough preview of a running edit: ``image`` is the whole picture (``content_type``) with result ``result`` after
    ``step`` of ``steps``."""

    image: bytes
    content_type: str
    result: int
    step: int
    steps: int


class Mask(ResponseModel):
    """The current state of a mask; once it has succeeded, its candidates, best first."""

    id: str
    state: State
    model: str
    queue_position: int | None = None
    attempt: int = 0
    found_by: str | None = None
    candidates: tuple[MaskCandidate, ...] = ()
    timings: Timings | None = None
    problem: Problem | None = None

    @property
    def finished(self) -> bool:
        """Whether its state can no longer change."""
        return self.state in TERMINAL


class Page(ResponseModel):
    """Edits, newest first; ``next_cursor`` None: the last page."""

    edits: tuple[Edit, ...]
    next_cursor: str | None


class Model(ResponseModel):
    """An available model."""

    name: str
    family: str | None = None
    ready: bool
    declared: bool = False
    workers: int
    queued: int
    image_size: int
    max_prompt_tokens: int
    loras: tuple[str, ...] = ()
    embeddings: tuple[str, ...] = ()
    max_clip_skip: int = 0
    domain: str | None = None
