"""What an edit can leave besides its result: what the words' attention was without and with guidance."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from PIL import Image

from magedit.masks import outline, union
from magedit.show import heat_map, panels
from magedit.transparency import flatten
from worker.model import Edited


def attention_pictures(
    image: Image.Image, masks: Sequence[Image.Image], edited: Edited, unguided: Edited
) -> Iterator[tuple[str, Image.Image]]:
    """Names and pictures: per region (0, 1, ...) `attention-before-0.png` of the unguided edit and
    `attention-after-0.png` of the guided one, in the colours of one scale, and `overview.png` with all of it."""
    image = flatten(image)
    columns = [("source and mask", outline(image, union(masks))), ("result", edited.images[0])]
    for region, maps in enumerate(zip(unguided.attention, edited.attention, strict=True)):
        shares: list[list[list[float]]] = [share.tolist() for share in maps]
        high = max(max(row) for share in shares for row in share)
        words = ", ".join(edited.measures.words[region])
        for name, share in zip(("before", "after"), shares, strict=True):
            picture = heat_map(share, image, edited.measures.crop, high=high)
            columns.append((f"{words}: {name} guidance", picture))
            yield f"attention-{name}-{region}.png", picture
    yield "overview.png", panels(columns)


def trace_json(edited: Edited) -> bytes:
    """The trace of the edit: losses and ratios of each guided step, as JSON."""
    return json.dumps([asdict(step) for step in edited.measures.trace]).encode()
