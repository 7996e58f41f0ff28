"""Progress of a running edit and measures of a finished one. Free of torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

from PIL import Image

from magedit.config.types import ConstraintName, MethodName
from magedit.masks.candidates import FoundRegion

PREVIEW_SIDE: Final = 256
"""Longer side of a preview, in pixels."""

PREVIEW_INTERVAL_S: Final = 1.0
"""Shortest time between two previews of an edit, in seconds."""


class Stage(StrEnum):
    """The stages of an edit, in order."""

    PREPARE = "prepare"
    INVERT = "invert"
    OPTIMIZE = "optimize"
    EDIT = "edit"
    DECODE = "decode"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Progress of an edit.

    ``step`` of ``steps`` counts the finished steps of the stage; ``fraction`` in 0..1 is the finished share of the
    whole edit's expected UNet work.
    """

    stage: Stage
    step: int
    steps: int
    fraction: float


@dataclass(frozen=True, kw_only=True)
class Preview:
    """An edit after ``step`` of ``steps``: the whole picture (RGB, longer side `PREVIEW_SIDE`) with result ``result``
    inside the mask."""

    picture: Image.Image
    result: int
    step: int
    steps: int


OnPreview = Callable[[Preview], None]

OnTrace = Callable[[int, "StepTrace"], None]
"""(result, its step), after each measured step."""


@dataclass(frozen=True, kw_only=True)
class EditWarning:
    """A warning about an accepted edit. ``code`` is stable; ``field`` names the parameter to change."""

    code: str
    message: str
    field: str | None = None


@dataclass(frozen=True, kw_only=True)
class Ratios:
    """Token ratio v and spatial ratio a of one region (paper 4.2), each in 0..1, mean over heads and layers."""

    token: float
    spatial: float


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """How well the model reconstructs the unedited picture: PSNR in dB inside the mask, at the model's own size.

    ``vae``: through the VAE alone. ``inversion``: through the inversion as well, as the edit's source branch has it.
    """

    vae: float
    inversion: float


@dataclass(frozen=True, kw_only=True)
class StepTrace:
    """One denoising step: ratios per region before the step's first guidance update and in its sampling pass.

    ``iterations`` counts the updates; ``losses`` holds the loss at each gradient, of which one may serve several.
    """

    step: int
    timestep: int
    iterations: int
    losses: tuple[float, ...]
    before: tuple[Ratios, ...]
    after: tuple[Ratios, ...]


@dataclass(frozen=True, kw_only=True)
class ResultMeasures:
    """One result of an edit: the method, seed and strength that reproduce it alone, and its own part of `EditMeasures`.

    ``outside_difference`` is the largest absolute difference (0..255) to the input outside the dilated mask, and
    ``outside_sha256`` the SHA-256 in hex of the pixels there (`magedit.images.masks.outside_sha256`), None where it was
    not measured. ``inside_difference`` is the mean absolute difference (0..255) inside the mask between the result and
    the model's reconstruction of the unedited picture; None where that was not measured. With `selection`,
    ``selected`` is how the chosen result was guided, and ``likelihood_ratio`` by how much the model's prediction error
    inside the mask falls from the source to the target prompt: above 0 the target is likelier.
    """

    method: MethodName = "mag-edit"
    seed: int
    strength: float
    before: tuple[Ratios, ...] = ()
    after: tuple[Ratios, ...] = ()
    updates: int = 0
    outside_difference: int = 0
    outside_sha256: str | None = None
    inside_difference: float | None = None
    selected: Literal["unguided", ConstraintName] | None = None
    likelihood_ratio: float | None = None
    nsfw_content_detected: bool | None = None


@dataclass(frozen=True, kw_only=True)
class EditMeasures:
    """Measures and cost of an edit, over all results.

    ``before`` and ``after`` hold one `Ratios` per region: means over the guided steps, before each step's updates and
    in its sampling pass; they and ``trace`` are the first result's, ``results`` has each one's. ``unguided`` holds the
    same means of the first result without guidance, when that was run for comparison. ``crop`` is the working crop
    (left, top, right, bottom) and ``paste_margin_px`` by how much paste-back dilates the mask, both in pixels of the
    input. ``outside_difference`` is the largest absolute difference (0..255) of any pixel outside the dilated mask
    between input and results; 0 by construction, measured all the same. ``inversion_reused``: the edit started from an
    inversion that was there already. ``nsfw_content_detected`` is the verdict of the checkpoint's safety checker on
    the working crop (of any result), None where it has none. ``reconstruction`` tells how well the model knows such
    pictures at all, None where it was not measured. ``found`` are the masks that were found when the edit began.
    ``stage_seconds`` has, beside the stages, ``read`` (of an instruction) and ``find`` (of these masks).
    """

    before: tuple[Ratios, ...] = ()
    after: tuple[Ratios, ...] = ()
    unguided: tuple[Ratios, ...] | None = None
    words: tuple[tuple[str, ...], ...] = ()
    unet_forward: int = 0
    unet_truncated_forward: int = 0
    unet_backward: int = 0
    stage_seconds: dict[str, float] = field(default_factory=dict)
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    paste_margin_px: int = 0
    outside_difference: int = 0
    inversion_reused: bool = False
    reconstruction: Reconstruction | None = None
    nsfw_content_detected: bool | None = None
    results: tuple[ResultMeasures, ...] = ()
    trace: tuple[StepTrace, ...] = ()
    found: tuple[FoundRegion, ...] = ()
