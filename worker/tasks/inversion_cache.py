"""Inversions kept in storage for further edits of the same picture.

The key is a hash of everything that an inversion depends on: pixels and position of the working crop, source prompt,
steps and method with their parameters, the checkpoint's weights, number format and kind of device. Inversions belong to
a tenant. A damaged or partial one counts as absent; failing to store one does not fail the edit.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from PIL import Image

from jobs.errors import ObjectNotFound, StoreUnavailable
from jobs.models import ModelInfo
from jobs.storage import ObjectStore, inversion_key
from magedit.config import EditConfig
from magedit.config.loras import find_loras, identity
from magedit.images.masks import Box, crop_to, union, working_crop
from magedit.images.transparency import flatten
from magedit.inversion.registry import inversion_settings

if TYPE_CHECKING:
    from magedit.pipelines.output import Inversion

CONTENT_TYPE = "application/octet-stream"

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class CachedInversion:
    """The cache entry for the inversion of one edit."""

    store: ObjectStore
    key: str
    box: Box
    image_size: tuple[int, int]
    source_prompt: str
    config: EditConfig

    def find(self) -> Inversion | None:
        """The stored inversion, None if there is none that can be read."""
        # Imported with the first edit, since it needs torch.
        from magedit.pipelines.serialization import parse

        try:
            data = self.store.get(self.key)
            return parse(
                data,
                box=self.box,
                image_size=self.image_size,
                source_prompt=self.source_prompt,
                config=self.config,
            )
        except ObjectNotFound:
            return None
        except (StoreUnavailable, ValueError) as error:
            log.warning("stored inversion not used", key=self.key, reason=str(error))
            return None

    def keep(self, inversion: Inversion) -> None:
        """Store ``inversion``, if storage answers."""
        from magedit.pipelines.serialization import dump

        try:
            self.store.put(self.key, dump(inversion.inverted), CONTENT_TYPE)
        except StoreUnavailable:
            log.warning("inversion not stored: object storage is away", key=self.key)


@dataclass(frozen=True, kw_only=True)
class Inversions:
    """The stored inversions of one loaded model; ``fingerprint`` identifies its weights."""

    store: ObjectStore
    info: ModelInfo
    fingerprint: str
    lora_dir: Path | None = None
    """The folder of the files that edits may name."""

    def slot(
        self, tenant: str, image: Image.Image, masks: Sequence[Image.Image], source_prompt: str, config: EditConfig
    ) -> CachedInversion:
        """The cache entry for the inversion that this edit needs."""
        size = self.info.image_size
        box = working_crop(union(masks), size, config.crop_context)
        parts = {
            "pixels": sha256(crop_to(flatten(image), box, size).tobytes()).hexdigest(),
            "box": box,
            "image_size": image.size,
            "source_prompt": source_prompt,
            "settings": inversion_settings(config),
            "weights": self.fingerprint,
            "loras": identity(find_loras(config.lora, self.lora_dir)),
            "dtype": self.info.dtype,
            "device": self.info.device.partition(":")[0],
        }
        name = sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        return CachedInversion(
            store=self.store,
            key=inversion_key(tenant, name),
            box=box,
            image_size=image.size,
            source_prompt=source_prompt,
            config=config,
        )
