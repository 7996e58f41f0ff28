"""Location of an edit's missing mask by the words that its prompts change, as a mask job."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from jobs.schema import FieldError, Problem
from magedit.edits.resolution import Resolution
from magedit.masks.shapes import read_prompt
from magedit.prompts.reading import read_prompts
from service.backend import Backend
from service.edits.form import EditForm, invalid
from service.edits.idempotency import Keyed
from service.edits.results import require_pictures
from service.edits.submission import Submitted
from service.edits.validation import resolved
from service.errors import NotFinishedInTime
from service.masks.form import MaskForm
from service.masks.submission import submit_mask
from service.masks.views import mask_path
from service.middleware.bearer_auth import Caller
from service.middleware.request_id import Origin

MASK_ID = "Mask-Id"
"""Header with the id of the located mask, for `/v1/masks/{id}`."""

CURE = "send a `mask`, `mask_shapes` or a `mask_id`"


def submit_search(
    form: EditForm, *, caller: Caller, backend: Backend, origin: Origin, keyed: Keyed | None = None
) -> Submitted:
    """Accept the mask of the one thing that the edit's prompts change.

    Raises:
        MAGEditError, RequestError, RequestValidationError, JobError: the edit would be rejected, names nothing to
            locate, or its model's workers cannot locate it; nothing was stored.
    """
    info = backend.models.require(form.model, backend.settings).info
    if "words" not in info.finds_by:
        raise invalid("mask", f"it was not sent, and model {info.name!r} cannot locate things by words: {CURE}")
    shows = None
    if form.source_edit is not None:
        shows = backend.records.require(form.source_edit, caller.tenant).request.target_prompt
    resolution = resolved(form, info, backend.tokenizer(info), backend.settings, masks=1, shows=shows)
    resolution.edit()
    thing = changed_thing(resolution)
    search = MaskForm(
        image=form.image,
        source_edit=form.source_edit,
        source_result=form.source_result,
        model=form.model,
        deadline_s=form.options.deadline_s,
        prompt=read_prompt({"words": thing}),
    )
    return submit_mask(search, caller=caller, backend=backend, origin=origin, keyed=keyed and _of_search(keyed))


class Before(NamedTuple):
    """What an earlier request with the same `Idempotency-Key` and payload came to."""

    is_edit: bool
    """Whether it made an edit."""
    mask_id: str | None
    """The mask that it found, which may be gone."""


def found_before(keyed: Keyed, caller: Caller, backend: Backend) -> Before:
    """What the key stands for. Reads the form's files: not for the event loop. Raises KeyReused."""
    own = _of_search(keyed)
    edit = backend.idempotency.bound(caller.tenant, keyed.value, keyed.fingerprint())
    return Before(edit is not None, backend.idempotency.bound(caller.tenant, own.value, own.fingerprint("mask")))


def _of_search(keyed: Keyed) -> Keyed:
    """The key of the mask: no caller's key has a line end. With the payload in it, another payload is the edit's own to
    refuse."""
    return dataclasses.replace(keyed, value=f"{keyed.value}\n{keyed.fingerprint()}")


def changed_thing(resolution: Resolution) -> str:
    """The words of the source prompt for the one thing that changes. Raises RequestValidationError."""
    reading = read_prompts(resolution.source_prompt, resolution.target_prompt)
    if not reading.changes:
        told = "the prompts do not show what changes (`source_prompt`: what the picture shows)"
    elif len(reading.changes) > 1:
        told = f"the prompts change {len(reading.changes)} things, each of which needs a mask"
    elif reading.kind == "addition" or not reading.changes[0].before:
        told = "the thing that the prompts add is not in the picture yet"
    else:
        return reading.changes[0].before
    raise invalid("mask", f"it was not sent, and {told}: {CURE}")


def with_found(form: EditForm, mask_id: str, caller: Caller, backend: Backend) -> EditForm | Problem:
    """The edit with the located mask, or the reason why none was found.

    Raises:
        NotFinishedInTime: the mask is not finished.
        JobError: the mask was canceled or is gone.
    """
    record = backend.records.require_mask(mask_id, caller.tenant)
    if not record.state.is_terminal:
        raise NotFinishedInTime(
            f"the mask of {record.request.words!r} is still being located and will be at {mask_path(record)}: send "
            f"the request again with `mask_id` {mask_id}",
            headers={MASK_ID: mask_id},
        )
    if record.problem is not None:
        return _of_mask(record.problem, record.request.words)
    require_pictures(record, backend)
    if form.image is not None:
        form.image.file.seek(0)
    return dataclasses.replace(form, mask_id=[mask_id])


def _of_mask(problem: Problem, words: str | None) -> Problem:
    """Why no mask was found, for a caller who sent none."""
    detail = f"no mask was sent, so {words!r} was searched for in the picture: {problem.detail}; {CURE}"
    return problem.model_copy(update={"detail": detail, "errors": (FieldError(field="mask", message=detail),)})
