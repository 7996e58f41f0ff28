"""One claimed edit: inputs out of storage, through the model, results into storage. Commits nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

from PIL import Image

from jobs.schema import JobRecord, OutputFormat, StoredObject
from jobs.storage import ObjectStore, result_key
from magedit.config import EditConfig
from magedit.report import EditMeasures
from worker.model import Editor
from worker.progress import Reporter

# Pillow's options per format: PNG and WebP keep every pixel, JPEG comes as near as it can.
_ENCODING: dict[OutputFormat, dict[str, Any]] = {
    "png": {"format": "PNG"},
    "jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    "webp": {"format": "WEBP", "lossless": True},
}


@dataclass(frozen=True)
class Finished:
    """What a finished edit leaves behind, all of it stored."""

    measures: EditMeasures
    results: tuple[StoredObject, ...]
    artifacts: tuple[StoredObject, ...]


def run(claim: JobRecord, editor: Editor, store: ObjectStore, report: Reporter) -> Finished:
    """Carry out the claimed edit and store what it makes under the attempt's own keys.

    Raises:
        MAGEditError: the edit cannot be carried out.
        AttemptEnded: ``report`` was told to stop.
        StoreUnavailable: storage stayed away.
    """
    request = claim.request
    image = _read(store, claim.image)
    masks = [_read(store, key) for key in claim.masks]
    report.check()
    inputs = (image, masks, request.source_prompt, request.target_prompt, request.regions)
    compare = "attention" in request.artifacts
    share = _comparison_share(request.config) if compare else 0.0

    report.share(0.0, 1.0 - share)
    edited = editor(*inputs, request.config, on_progress=report)
    measures, artifacts = edited.measures, ()
    if compare:
        report.share(1.0 - share, share)
        plain = replace(request.config, method="p2p")
        unguided = editor(*inputs, plain, inversion=edited.inversion, on_progress=report)
        measures = replace(measures, unguided=unguided.measures.after)
    results = tuple(
        _store_picture(store, result_key(claim, f"result-{index}"), picture, request.output_format)
        for index, picture in enumerate(edited.images)
    )
    report.check()
    return Finished(replace(measures, trace=()), results, artifacts)


def _comparison_share(config: EditConfig) -> float:
    """Share of the unguided edit in the whole, in UNet passes: per step one to invert and two to edit, per guidance
    update about one (a truncated pass forward and one backward)."""
    guided = config.guided_steps * config.iterations
    return 2 * config.steps / (5 * config.steps + guided)


def _read(store: ObjectStore, key: str) -> Image.Image:
    image = Image.open(BytesIO(store.get(key)), formats=("PNG",))
    image.load()
    return image
