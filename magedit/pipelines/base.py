"""Base of the pipelines: backbone, device, progress bar."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from magedit.backbones.base import Loaded
from magedit.measures.passes import BATCH_RESULTS
from magedit.measures.report import PREVIEW_INTERVAL_S
from magedit.pipelines.preview import LatentColours


class Pipeline:
    """A pipeline on a loaded checkpoint; attributes that it lacks, such as ``vae`` or ``save_pretrained``, are its
    ``backbone``'s."""

    backbone: Loaded
    batch_results: int = BATCH_RESULTS
    lora_dir: Path | None = None
    preview_interval_s: float = PREVIEW_INTERVAL_S

    def __init__(self, backbone: Loaded) -> None:
        self.backbone = backbone
        self._bar: dict[str, Any] = {}
        self._colours: LatentColours | None = None

    @property
    def latent_colours(self) -> LatentColours:
        """The colours of a latent in previews; fitted to the checkpoint's VAE on first use."""
        if self._colours is None:
            self._colours = LatentColours.fit(self.backbone)
        return self._colours

    def to(self, *args: Any, **options: Any) -> Self:
        """The same pipeline moved to a device or a number format, as diffusers takes them."""
        self.backbone.to(*args, **options)
        return self

    def set_progress_bar_config(self, **options: Any) -> None:
        """Configure the progress bar of calls, with tqdm's arguments; ``disable=True`` turns it off."""
        self._bar = options

    def __getattr__(self, name: str) -> Any:
        # Before `__init__`, as in copying, there is no backbone.
        if name == "backbone":
            raise AttributeError(name)
        return getattr(self.backbone, name)
