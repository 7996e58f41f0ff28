"""Runs one claimed mask: the picture from storage, candidates into storage. Commits nothing."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.schema import MaskRecord, StoredObject
from jobs.storage import ObjectStore, result_key
from magedit.masks.candidates import Candidate, Finder
from magedit.masks.finding import MaskFinder
from worker.progress import Reporter
from worker.tasks.edit import read_picture, store_picture


@dataclass(frozen=True)
class FinishedMask:
    """Stored output of a finished mask."""

    candidates: tuple[Candidate, ...]
    found_by: Finder
    results: tuple[StoredObject, ...]


def run(claim: MaskRecord, finder: MaskFinder, store: ObjectStore, report: Reporter) -> FinishedMask:
    """Find the claimed mask and store its candidates under the attempt's own keys.

    Raises:
        MAGEditError: it cannot be found.
        AttemptEnded: ``report`` was told to stop.
        StoreUnavailable: storage stayed away.
    """
    image = read_picture(store, claim.image)
    report.check()
    found = finder.find(image, claim.request)
    report.check()
    results = tuple(
        store_picture(store, result_key(claim, name), name, mask.picture, "png")
        for number, mask in enumerate(found.masks)
        for name in (f"mask-{number}.png",)
    )
    return FinishedMask(tuple(mask.candidate for mask in found.masks), found.found_by, results)
