"""Previews of a running edit: its latent as a small picture, by a linear map instead of the VAE."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from magedit.backbones.base import Loaded
from magedit.images import masks as pixels
from magedit.measures.report import PREVIEW_INTERVAL_S, PREVIEW_SIDE, OnPreview, Preview
from magedit.methods.base import EditTask

PATCHES: Final = 8
"""Patches along a side of the picture that the colours are fitted on."""


@dataclass(frozen=True)
class LatentColours:
    """The affine map from a latent's C channels to RGB (0..1) that fits a checkpoint's VAE best: (C + 1, 3)."""

    weights: Tensor

    @classmethod
    @torch.no_grad()
    def fit(cls, backbone: Loaded) -> LatentColours:
        """Least squares on one encoded picture of random colours: flat patches, and smooth between them."""
        size = backbone.size
        grid = np.random.default_rng(0).integers(0, 256, (PATCHES, PATCHES, 3), dtype=np.uint8)
        patches, fitted = Image.fromarray(grid), []
        for resampling in (Image.Resampling.NEAREST, Image.Resampling.BICUBIC):
            picture = patches.resize((size, size), resampling)
            latent = backbone.encode_image(picture).float().cpu()
            seen = picture.resize((latent.shape[3], latent.shape[2]), Image.Resampling.BOX)
            fitted.append((_rows(latent), torch.from_numpy(np.asarray(seen, dtype=np.float32) / 255).reshape(-1, 3)))
        latents, colours = (torch.cat(parts) for parts in zip(*fitted, strict=True))
        return cls(torch.linalg.lstsq(latents, colours).solution)

    def picture(self, latent: Tensor) -> Image.Image:
        """RGB of the latent's own size, of a latent (1, C, h, w)."""
        height, width = latent.shape[2:]
        colours = (_rows(latent.float().cpu()) @ self.weights).reshape(height, width, 3)
        return Image.fromarray((colours.nan_to_num().clamp(0, 1) * 255).round().to(torch.uint8).numpy())


def _rows(latent: Tensor) -> Tensor:
    """One row a position: the channels of (1, C, h, w), and 1."""
    rows = latent[0].flatten(1).T
    return torch.cat([rows, torch.ones(len(rows), 1)], 1)


class Previews:
    """The previews of one edit, at most one in ``interval_s`` seconds over all results."""

    def __init__(
        self,
        colours: LatentColours,
        show: OnPreview,
        image: Image.Image,
        mask: Image.Image,
        box: pixels.Box,
        *,
        interval_s: float = PREVIEW_INTERVAL_S,
    ) -> None:
        """``image`` is the input (RGB), ``mask`` where it is edited, ``box`` the working crop."""
        self._colours, self._show, self._interval_s = colours, show, interval_s
        self._scale = min(1.0, PREVIEW_SIDE / max(image.size))
        self._box = tuple(round(edge * self._scale) for edge in box)
        self._inputs: tuple[Image.Image, Image.Image] | None = (image, mask)
        self._small: tuple[Image.Image, Image.Image] | None = None
        self._shown_at = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether the next one is due; the first is after one interval."""
        return time.monotonic() - self._shown_at >= self._interval_s

    def show(self, latent: Tensor, *, result: int, step: int, steps: int) -> None:
        """Emit the picture with ``latent`` (1, C, h, w) in its place."""
        self._shown_at = time.monotonic()
        image, mask = self._reduced()
        left, top, right, bottom = self._box
        edited = self._colours.picture(latent).resize(
            (max(1, right - left), max(1, bottom - top)), Image.Resampling.BICUBIC
        )
        layer = image.copy()
        layer.paste(edited, (left, top))
        self._show(Preview(picture=Image.composite(layer, image, mask), result=result, step=step, steps=steps))

    def _reduced(self) -> tuple[Image.Image, Image.Image]:
        if self._small is None:
            assert self._inputs is not None
            image, mask = self._inputs
            size = (max(1, round(image.width * self._scale)), max(1, round(image.height * self._scale)))
            self._small = image.resize(size, Image.Resampling.BOX), pixels.shrink_mask(mask, size)
            self._inputs = None
        return self._small

    def watch(self, task: EditTask, result: int) -> EditTask:
        """The same task with previews of each step's predicted clean latent."""
        process, steps, before = task.denoiser.process, task.config.steps, task.on_step
        clean: Callable[[], Tensor] | None = None

        def on_prediction(prediction: Tensor, timestep: float, latent: Tensor) -> None:
            nonlocal clean
            clean = partial(process.predicted_clean, prediction, timestep, latent)

        def on_step(step: int, timestep: float, latent: Tensor) -> Tensor:
            if self.is_due and clean is not None:
                self.show(clean(), result=result, step=step + 1, steps=steps)
            return latent if before is None else before(step, timestep, latent)

        return replace(task, on_prediction=on_prediction, on_step=on_step)
