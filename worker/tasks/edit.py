"""Runs one claimed edit: reads inputs from storage, edits, stores the results. Commits nothing."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

from PIL import Image

from jobs.errors import ContentWithheld
from jobs.schema import CONTENT_TYPES, EditRequest, JobRecord, OutputFormat, StoredObject
from jobs.settings import Settings
from jobs.storage import ObjectStore, artifact_key, result_key, sha256
from magedit.config import EditConfig
from magedit.errors import EditHopeless
from magedit.images.masks import selected_by
from magedit.images.transparency import flatten
from magedit.masks.finding import MaskFinder, locate
from magedit.measures.assessment import Thresholds, assess, outlook
from magedit.measures.meter import expected_work
from magedit.measures.report import EditMeasures, EditWarning, OnTrace, StepTrace
from magedit.methods.registry import METHODS
from worker.models.served_model import Edited, Editor
from worker.progress import Reporter
from worker.tasks.artifacts import all_artifacts
from worker.tasks.compare import edit_by
from worker.tasks.inversion_cache import CachedInversion, Inversions

# Pillow's options per format. PNG and WebP are lossless (WebP keeps fully transparent pixels with `exact` only), JPEG
# is at its best quality and has no transparency. PNG level 3 takes less than half the time of Pillow's default level on
# photographs, at the same size.
_ENCODING: dict[OutputFormat, dict[str, Any]] = {
    "png": {"format": "PNG", "compress_level": 3},
    "jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    "webp": {"format": "WEBP", "lossless": True, "exact": True},
}

LOSSLESS = 100
"""The quality of a WebP that keeps every pixel."""


@dataclass(frozen=True)
class Finished:
    """Stored output of a finished edit."""

    measures: EditMeasures
    results: tuple[StoredObject, ...]
    artifacts: tuple[StoredObject, ...]
    assessment: tuple[EditWarning, ...] = ()


def run(
    claim: JobRecord,
    editor: Editor,
    store: ObjectStore,
    report: Reporter,
    inversions: Inversions | None = None,
    *,
    finder: MaskFinder | None = None,
    withhold: bool = False,
    previews: bool = True,
    thresholds: Thresholds | None = None,
) -> Finished:
    """Run the claimed edit and store its output under the attempt's own keys.

    ``inversions`` caches the picture's inversion, ``finder`` finds the masks that were not given. With ``withhold``, a
    result that the checkpoint's safety checker flags is not stored. ``thresholds`` are those of the warnings about the
    results. ``previews``: whether to make any.

    Raises:
        MAGEditError: the edit failed.
        ContentWithheld: the result is withheld.
        AttemptEnded: ``report`` was stopped.
        StoreUnavailable: storage remained unavailable.
    """
    request = claim.request
    image = read_picture(store, claim.image)
    given = (read_picture(store, key) for key in claim.masks)
    report.check()
    instructed = request.finds_by_instruction
    located = locate(finder, image, request.to_find, instructed=instructed, takes_room=request.takes_room)
    report.check()
    masks = [
        located.masks[number] if number in located.masks else next(given) for number in range(len(request.regions))
    ]
    inputs = (image, masks, request.source_prompt, request.target_prompt, request.regions)
    if request.compare:

        def cached_for(config: EditConfig) -> CachedInversion | None:
            if inversions is None:
                return None
            return inversions.slot(claim.tenant, image, masks, request.source_prompt, config)

        watch = _watch(request, report, thresholds)
        several = edit_by(editor, inputs, request.configs, report, cached_for, previews=previews, on_trace=watch)
        selected = [selected_by(mask) for mask in masks]
        measures = located.noted(several.measures, request.instruction)
        finished = _finish(claim, image, selected, several, measures, None, store, report, withhold=withhold)
        return replace(finished, assessment=(*report.warnings, *assess(finished.measures, thresholds)))
    # One unguided edit, of the first seed only: results of other seeds have no counterpart.
    compare = "attention" in request.artifacts and request.config.is_guided
    plain = replace(request.config.variants[0], strength=0.0)
    inverts = bool(METHODS[request.config.method].inversions)
    slot = inversions and inverts and inversions.slot(claim.tenant, image, masks, request.source_prompt, request.config)
    found = slot.find() if slot else None
    share = _comparison_share(request.config, plain, inverted=found is not None) if compare else 0.0

    report.share(0.0, 1.0 - share)
    edited = editor.edit(
        *inputs,
        request.config,
        inversion=found,
        on_progress=report,
        on_inverted=slot.keep if slot else None,
        on_preview=report.show if previews else None,
        on_trace=_watch(request, report, thresholds),
    )
    measures = located.noted(edited.measures, request.instruction)
    if withhold and measures.nsfw_content_detected:
        raise ContentWithheld
    unguided = None
    if compare:
        report.share(1.0 - share, share)
        unguided = editor.edit(*inputs, plain, inversion=edited.inversion, on_progress=report)
        measures = replace(measures, unguided=unguided.measures.after)
    selected = [selected_by(mask) for mask in masks]
    finished = _finish(claim, image, selected, edited, measures, unguided, store, report, withhold=False)
    return replace(finished, assessment=(*report.warnings, *assess(finished.measures, thresholds)))


def _watch(request: EditRequest, report: Reporter, thresholds: Thresholds | None) -> OnTrace:
    """Warns through ``report`` as soon as a result is likely to fail, and ends an edit whose results all are, if
    requested."""
    traces: dict[int, list[StepTrace]] = defaultdict(list)
    hopeless: set[int] = set()
    words = [region.words for region in request.regions]

    def on_trace(result: int, step: StepTrace) -> None:
        traces[result].append(step)
        warning = outlook(traces[result], request.kind, words, thresholds)
        if warning is None:
            return
        report.warn(warning)
        hopeless.add(result)
        if request.stop_if_hopeless and len(hopeless) == request.results:
            raise EditHopeless(warning.message)

    return on_trace


def thresholds_of(settings: Settings) -> Thresholds:
    """The warning thresholds of the settings."""
    return Thresholds(
        reconstruction_db=settings.warn_reconstruction_db,
        no_effect_levels=settings.warn_no_effect_levels,
        guidance_rise=settings.warn_guidance_rise,
        hopeless_ratio=settings.warn_hopeless_ratio,
    )


def _finish(
    claim: JobRecord,
    image: Image.Image,
    masks: list[Image.Image],
    edited: Edited,
    measures: EditMeasures,
    unguided: Edited | None,
    store: ObjectStore,
    report: Reporter,
    *,
    withhold: bool,
) -> Finished:
    """Store results and artifacts."""
    if withhold and measures.nsfw_content_detected:
        raise ContentWithheld
    request, stored = claim.request, []
    for name, content in all_artifacts(request.artifacts, image, masks, edited, unguided):
        stored.append(_store_artifact(store, artifact_key(claim, name), name, content))
        report.check()
    results = tuple(
        store_picture(store, result_key(claim, name), name, picture, request.output_format, request.output_compression)
        for index, picture in enumerate(edited.images)
        for name in (f"result-{index}.{request.output_format}",)
    )
    report.check()
    return Finished(replace(measures, trace=()), results, tuple(stored))


def _comparison_share(config: EditConfig, plain: EditConfig, *, inverted: bool) -> float:
    """Share of the unguided edit ``plain``, which reuses the inversion, in the expected work of both."""
    edit, comparison = (
        sum(expected_work(each, inverted=there).values()) for each, there in ((config, inverted), (plain, True))
    )
    return comparison / (edit + comparison)


def _store_artifact(store: ObjectStore, key: str, name: str, content: Image.Image | bytes) -> StoredObject:
    """Store a picture as PNG, or JSON."""
    if isinstance(content, bytes):
        return _store(store, key, name, content, "application/json")
    return store_picture(store, key, name, content, "png")


def store_picture(
    store: ObjectStore,
    key: str,
    name: str,
    picture: Image.Image,
    encoding: OutputFormat,
    quality: int | None = None,
) -> StoredObject:
    """Encode a picture and store it under ``key``. Raises StoreUnavailable.

    ``quality``: 0..100, as the request's ``output_compression``; None: as `_ENCODING` has it.
    """
    buffer = BytesIO()
    if encoding == "jpeg":
        picture = flatten(picture)
    options = _ENCODING[encoding]
    if quality is not None and (encoding == "jpeg" or quality < LOSSLESS):
        options = options | {"quality": quality, "lossless": False, "exact": False}
    picture.save(buffer, **options)
    return _store(store, key, name, buffer.getvalue(), CONTENT_TYPES[encoding], *picture.size)


def _store(
    store: ObjectStore,
    key: str,
    name: str,
    data: bytes,
    content_type: str,
    width: int | None = None,
    height: int | None = None,
) -> StoredObject:
    store.put(key, data, content_type)
    checksum, size = sha256(data), len(data)
    return StoredObject(
        name=name, key=key, content_type=content_type, size=size, sha256=checksum, width=width, height=height
    )


def read_picture(store: ObjectStore, key: str) -> Image.Image:
    """A stored PNG. Raises StoreUnavailable, ObjectNotFound."""
    image = Image.open(BytesIO(store.get(key)), formats=("PNG",))
    image.load()
    return image
