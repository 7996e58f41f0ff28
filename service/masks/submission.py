"""Submission of a mask: like an edit's (`service.edits.submission`), with a picture only."""

from __future__ import annotations

from jobs.records.idempotency import Reservation
from jobs.schema import JobRecord, MaskRecord, MaskRequest
from jobs.storage import image_key
from jobs.webhooks.message import check_url
from service.backend import Backend
from service.edits.chaining import Lineage, find_source
from service.edits.finders import require_finder
from service.edits.form import invalid
from service.edits.idempotency import Keyed
from service.edits.submission import Submitted, accept, submit_once
from service.images.inputs import upload_limits
from service.images.uploads import read_image
from service.masks.form import MaskForm
from service.middleware.bearer_auth import Caller
from service.middleware.request_id import Origin


def submit_mask(
    form: MaskForm, *, caller: Caller, backend: Backend, origin: Origin, keyed: Keyed | None = None
) -> Submitted:
    """Accept a mask; its record is durable when this returns. Raises as `service.edits.submission.submit`."""

    def make(job: str, reservation: Reservation | None) -> JobRecord:
        if form.webhook_url is not None:
            check_url(form.webhook_url, private=backend.settings.webhook_private)
        backend.room.require(caller.tenant, caller.limits)
        info = backend.models.require(form.model, backend.settings).info
        # Before the picture is decoded, which costs far more than a refusal.
        form.prompt.check_alone()
        require_finder(info, form.prompt)
        source = find_source(form, caller.tenant, backend)
        if source is not None:
            image = source.image
        elif form.image is not None:
            image = read_image(form.image.file.read(), field="image", limits=upload_limits(backend.settings))
        else:
            raise invalid(
                "image", "give a picture as `image`, or as `source_edit` the id of an edit whose result it is"
            )
        form.prompt.check(image.size)
        lineage = source.lineage if source else Lineage()
        key = image_key(caller.tenant, job)
        record = MaskRecord(
            id=job,
            tenant=caller.tenant,
            request=MaskRequest(model=info.name, deadline_s=form.deadline_s, **dict(form.prompt)),
            image=key,
            webhook_url=form.webhook_url,
            request_id=origin.request_id,
            traceparent=origin.traceparent,
            **lineage,
        )
        return accept(record, {key: image}, caller=caller, backend=backend, reservation=reservation)

    return submit_once(make, kind="mask", caller=caller, backend=backend, keyed=keyed)
