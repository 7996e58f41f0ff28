"""Errors of an edit, as one tree.

    MAGEditError
    ├── InvalidEdit              the request cannot be carried out; the caller can correct it
    │   ├── InvalidParameter     a value out of its parameter's type or bounds
    │   ├── WordNotFound         an edit word is not a whole word of the target prompt
    │   ├── PromptTooLong        more tokens than the text encoder accepts
    │   ├── PromptNotSupported   a word outside the checkpoint's vocabulary
    │   ├── MaskMismatch         image and mask differ in size
    │   ├── EmptyMask            nothing to edit
    │   ├── InvalidPolygon       a ring without an area, or one that crosses itself
    │   ├── InvalidBox           a box without an area
    │   ├── InvalidRle           malformed runs, or runs that do not fill the picture
    │   ├── PointOutside         a point outside the picture
    │   ├── NothingFound         nothing in the picture matches
    │   ├── SeveralFound         several things match, and one is needed
    │   ├── NoFinder             the model cannot locate things by this kind of input
    │   ├── InstructionNotUnderstood  an instruction that names no thing or no change
    │   ├── RegionMismatch       masks and regions do not pair up
    │   ├── UnknownMethod        no such method or inversion, or an inversion made for another edit
    │   ├── NotTogether          a method combined with an inversion or a parameter that it does not support
    │   ├── NothingToGuide       guidance without edit words
    │   └── EditHopeless         ended early because it was failing, as requested
    ├── LanguageModelUnavailable no usable response from the chat endpoint that parses instructions
    ├── CheckpointError          the checkpoint is of an unsupported family, or lacks a required part
    │   └── NoGuidanceLayers     no cross-attention at the guidance resolution
    ├── EditDiverged             the latent became NaN or infinite
    ├── PictureNotFinite         the VAE's output is NaN or infinite
    └── EditCanceled             canceled by a progress callback

`code` is stable: callers may switch on it. `field` names the parameter at fault, as the API spells it. `values` has the
figures and words of the message for programs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

Value = str | int | float | list[str]
"""A figure or words of a message."""


class MAGEditError(Exception):
    """Base of the tree. ``code`` is a stable identifier, ``field`` the parameter at fault (or None)."""

    code: ClassVar[str] = "magedit_error"
    default_field: ClassVar[str | None] = None

    def __init__(self, message: str, *, field: str | None = None, values: Mapping[str, Value] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field if field is not None else self.default_field
        self.values = dict(values or {})


class InvalidEdit(MAGEditError):
    """The request cannot be carried out as sent; the message says how to change it."""

    code = "invalid_edit"


class InvalidParameter(InvalidEdit):
    """A value is out of its parameter's bounds or has the wrong type."""

    code = "invalid_request"


class WordNotFound(InvalidEdit):
    """An edit word is not a whole word of the target prompt."""

    code = "word_not_in_target_prompt"
    default_field = "words"


class PromptTooLong(InvalidEdit):
    """The prompt has more tokens than the text encoder takes (77 for CLIP)."""

    code = "prompt_too_long"
    default_field = "target_prompt"


class PromptNotSupported(InvalidEdit):
    """The checkpoint's closed vocabulary lacks a word of the prompt (the demo checkpoint has one)."""

    code = "prompt_not_supported"
    default_field = "target_prompt"


class MaskMismatch(InvalidEdit):
    """Image and mask differ in size."""

    code = "mask_size_mismatch"
    default_field = "mask"


class EmptyMask(InvalidEdit):
    """A mask selects no pixel."""

    code = "mask_empty"
    default_field = "mask"


class InvalidPolygon(InvalidEdit):
    """A ring has no area or crosses itself."""

    code = "polygon_invalid"
    default_field = "mask_shapes"


class InvalidBox(InvalidEdit):
    """A box has no area, or none inside the picture."""

    code = "box_invalid"
    default_field = "mask_shapes"


class InvalidRle(InvalidEdit):
    """A run-length encoding is malformed or differs from the picture in size."""

    code = "rle_invalid"
    default_field = "mask_shapes"


class PointOutside(InvalidEdit):
    """A point is outside the picture."""

    code = "point_outside_image"
    default_field = "points"


class NothingFound(InvalidEdit):
    """Nothing in the picture matches; the message has the best score."""

    code = "nothing_found"
    default_field = "words"


class SeveralFound(InvalidEdit):
    """Several things in the picture match the words; the message lists them."""

    code = "several_found"
    default_field = "words"


class NoFinder(InvalidEdit):
    """The model's workers cannot locate things by this kind of input (points, boxes or words)."""

    code = "no_finder"
    default_field = "points"


class InstructionNotUnderstood(InvalidEdit):
    """An instruction does not name the thing to change or the result; the message says what was understood."""

    code = "instruction_not_understood"
    default_field = "instruction"


class RegionMismatch(InvalidEdit):
    """The number of masks and the number of regions differ."""

    code = "region_mismatch"
    default_field = "regions"


class UnknownMethod(InvalidEdit):
    """No method or inversion of this name, or an inversion made for another edit."""

    code = "unknown_method"
    default_field = "method"


class NotTogether(InvalidEdit):
    """A method was combined with an inversion or a parameter that it does not support."""

    code = "not_together"
    default_field = "method"


class NothingToGuide(InvalidEdit):
    """Guidance is requested, but no edit words are given and the target prompt adds none."""

    code = "no_edit_words"
    default_field = "words"


class EditHopeless(InvalidEdit):
    """The guided steps predicted failure, and ``stop_if_hopeless`` ended the edit early."""

    code = "hopeless"
    default_field = "words"


class LanguageModelUnavailable(MAGEditError):
    """The chat endpoint gave no usable response, and the rules do not understand the instruction."""

    code = "language_model_unavailable"
    default_field = "instruction"


class CheckpointError(MAGEditError):
    """The checkpoint is not supported or cannot be loaded."""

    code = "checkpoint_error"
    default_field = "model"


class NoGuidanceLayers(CheckpointError):
    """The UNet has no cross attention at the guidance resolution."""

    code = "no_guidance_layers"


class EditDiverged(MAGEditError):
    """The latent became NaN or infinite; use a smaller `guidance_step_size`."""

    code = "edit_diverged"
    default_field = "guidance_step_size"


class PictureNotFinite(MAGEditError):
    """The VAE's picture or latent is NaN or infinite; use another number format or VAE."""

    code = "picture_not_finite"


class EditCanceled(MAGEditError):
    """Raised by a progress callback to stop an edit between two UNet passes."""

    code = "edit_canceled"
