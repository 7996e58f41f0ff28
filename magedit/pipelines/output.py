"""Output of a pipeline: the edited pictures, measures, and an inversion to edit from again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor

from magedit.config import EditConfig
from magedit.errors import UnknownMethod
from magedit.images.masks import Box
from magedit.inversion.base import Inverted
from magedit.inversion.registry import inversion_settings
from magedit.measures.assessment import assess
from magedit.measures.report import EditMeasures, EditWarning
from magedit.methods.base import EditedLatent
from magedit.methods.registry import METHODS


@dataclass(frozen=True)
class Inversion:
    """An inverted image, to be edited any number of times.

    Holds the trajectory of the working crop ``box`` of an image of ``image_size`` under ``source_prompt``, and the
    ``config`` whose steps, inversion and guidance scale it was made with.
    """

    inverted: Inverted
    box: Box
    image_size: tuple[int, int]
    source_prompt: str
    config: EditConfig

    def require_fit(self, box: Box, image_size: tuple[int, int], source_prompt: str, config: EditConfig) -> None:
        """Check that an edit can start from this inversion; the caller guarantees that the image is the same.

        Raises:
            UnknownMethod: another size, crop, prompt, or setting that the inversion depends on (field ``inversion``).
        """
        made_with, asked_for = inversion_settings(self.config), inversion_settings(config)
        inverts = bool(METHODS[config.method].inversions)
        for name, mine, asked in (
            ("image size", self.image_size, image_size),
            ("working crop", self.box, box),
            ("source prompt", self.source_prompt, source_prompt),
            *((name, made_with.get(name), value) for name, value in asked_for.items() if inverts),
        ):
            if mine != asked:
                raise UnknownMethod(
                    f"the given inversion was made with {name} {mine!r}, but the edit has {asked!r}: invert again",
                    field="inversion",
                )
        if inverts and not METHODS[self.config.method].inversions:
            raise UnknownMethod(
                f"the given inversion is for method {self.config.method!r}, which does not invert: invert again",
                field="inversion",
            )

    def __repr__(self) -> str:
        """One line, without tensors."""
        settings = inversion_settings(self.config).items()
        made = ", ".join(f"{name}={value!r}" for name, value in settings if value not in ((), 0))
        return f"Inversion({self.source_prompt!r}, {made}, crop {self.box} of {self.image_size})"

    def to(self, device: torch.device) -> Inversion:
        """The same inversion on ``device``."""
        if self.inverted.latents[0].device == device:
            return self
        moved = replace(
            self.inverted,
            latents=tuple(each.to(device) for each in self.inverted.latents),
            unconditional=tuple(each.map(lambda tensor: tensor.to(device)) for each in self.inverted.unconditional),
            values=tuple(each.to(device) for each in self.inverted.values),
            sampled=tuple(each.to(device) for each in self.inverted.sampled),
        )
        return replace(self, inverted=moved)


@dataclass
class MAGEditOutput(BaseOutput):  # type: ignore[misc]
    """The results of an edit.

    Attributes:
        images: pictures of the input's size, one per result (or the latents, (results, C, h, w), with
            ``output_type='latent'``).
        measures: ratios, cost and what was touched.
        inversion: to be given to the next edit of the same image and mask.
        edited: each result as it was sampled, with its own trace and attention.
        attention: for each region the mean share (0..1) of its words at each position of the guidance maps over the
            measured steps, (side, side); covers the working crop ``measures.crop``. The first result's.
        attention_steps: the same maps of each measured step, in the order of ``measures.trace``.
        nsfw_content_detected: verdict of the checkpoint's safety checker per result, None where it has none.
    """

    images: list[Image.Image] | Tensor
    measures: EditMeasures
    inversion: Inversion
    edited: tuple[EditedLatent, ...]
    attention: tuple[Tensor, ...]
    attention_steps: tuple[tuple[Tensor, ...], ...]
    nsfw_content_detected: list[bool] | None

    @property
    def warnings(self) -> tuple[EditWarning, ...]:
        """Warnings about the results (`magedit.measures.assessment`)."""
        return assess(self.measures)

    def __repr__(self) -> str:
        """One line: results and cost."""
        measures, first = self.measures, self.images[0]
        size = "x".join(map(str, first.size if isinstance(first, Image.Image) else first.shape))
        ratios = zip(measures.unguided or measures.before, measures.after, strict=True)
        told = [f"token ratio {before.token:.3f} -> {after.token:.3f}" for before, after in ratios]
        passes = measures.unet_forward + measures.unet_truncated_forward + measures.unet_backward
        told += [f"{passes} UNet passes", f"{sum(measures.stage_seconds.values()):.1f} s"]
        return f"MAGEditOutput({len(self.images)} of {size}, {', '.join(told)})"

    def only(self, number: int) -> MAGEditOutput:
        """The output as if result ``number`` were the only one; the cost stays that of all."""
        edited, own = self.edited[number], self.measures.results[number]
        measures = replace(
            self.measures,
            before=own.before,
            after=own.after,
            outside_difference=own.outside_difference,
            nsfw_content_detected=own.nsfw_content_detected,
            results=(own,),
            trace=edited.trace,
        )
        flagged = self.nsfw_content_detected
        return MAGEditOutput(
            images=self.images[number : number + 1],
            measures=measures,
            inversion=self.inversion,
            edited=(edited,),
            attention=edited.attention,
            attention_steps=edited.attention_steps,
            nsfw_content_detected=flagged and flagged[number : number + 1],
        )
