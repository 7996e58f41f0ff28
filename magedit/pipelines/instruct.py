"""Editing by instruction, without inversion: checkpoints of InstructPix2Pix layout (Brooks et al., arXiv 2211.09800).

Such a UNet was trained to take the picture's latent as further input channels, 8 in all for Stable Diffusion.
MagicBrush (arXiv 2306.10012) is the same layout tuned on edits made by people. The sampling is diffusers' own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from PIL import Image
from torch import Tensor

from magedit.backbones.checkpoints.inspect import CheckpointInfo
from magedit.backbones.loading import naming, prepare
from magedit.backbones.stable_diffusion.backbone import InstructStableDiffusion
from magedit.config import EditConfig, MethodName, Region
from magedit.edits.checkpoint import Checkpoint
from magedit.errors import CheckpointError, NotTogether
from magedit.images import masks as pixels
from magedit.images.inputs import Picture
from magedit.images.transparency import restore
from magedit.inversion.base import Inverted
from magedit.measures.meter import Meter, OnProgress, expected_work
from magedit.measures.report import EditMeasures, OnPreview, OnTrace, Reconstruction, ResultMeasures, Stage
from magedit.methods.base import EditedLatent
from magedit.pipelines.base import Pipeline
from magedit.pipelines.inputs import Inputs, Mask, as_config, check_prompts, read_inputs, resolve_call, trusted_inputs
from magedit.pipelines.output import Inversion, MAGEditOutput
from magedit.pipelines.preview import Previews
from magedit.pipelines.progress import shown

_NO_LATENT = torch.empty(0)
"""Placeholder for the source branch, which this layout lacks."""


class InstructPipeline(Pipeline):
    """The interface of `MAGEditPipeline` for a checkpoint that takes instructions: ``target_prompt`` is one.

    ``method`` is the checkpoint's: `instruct-pix2pix`, or `magicbrush` if its name says so.
    """

    backbone: InstructStableDiffusion

    def __init__(self, backbone: InstructStableDiffusion, method: MethodName = "instruct-pix2pix") -> None:
        super().__init__(backbone)
        backbone.set_progress_bar_config(disable=True)
        self.method: MethodName = method

    @classmethod
    def from_pretrained(cls, checkpoint: str | Path | CheckpointInfo, **options: Any) -> Self:
        """Load a folder or hub id; ``options`` as diffusers takes them. A safety checker is used if there is one."""
        found, options = prepare(checkpoint, options)
        if found.family != "instruct-pix2pix":
            raise CheckpointError(f"{found.sentence}; it does not edit by instruction: load it with MAGEditPipeline")
        with naming(found):
            backbone = InstructStableDiffusion.from_pretrained(found.name, **options)
        name: MethodName = "magicbrush" if "magicbrush" in found.name.lower() else "instruct-pix2pix"
        return cls(backbone, name)

    @torch.no_grad()
    def __call__(
        self,
        image: Picture,
        masks: Mask | Sequence[Mask],
        source_prompt: str,
        target_prompt: str,
        regions: Region | Sequence[Region] = (),
        config: EditConfig | None = None,
        *,
        inversion: Inversion | None = None,
        on_progress: OnProgress | None = None,
        on_inverted: Callable[[Inversion], None] | None = None,
        on_preview: OnPreview | None = None,
    ) -> MAGEditOutput:
        """Carry out the instruction ``target_prompt`` on the working crop; outside the mask nothing changes.

        Arguments as `MAGEditPipeline.__call__`; the source prompt is not used. Text guidance is ``guidance_scale``,
        image guidance ``image_guidance_scale`` (equation 3).

        Raises:
            InvalidEdit: masks, prompt or words do not fit, another method than the checkpoint's, or an ``inversion``;
                each subclass says why and how to fix it.
        """
        del on_inverted
        config, inputs = as_config(config), read_inputs(image, masks)
        check_prompts(source_prompt=source_prompt, target_prompt=target_prompt)
        if inversion is not None:
            raise NotTogether(f"method {self.method!r} does not invert: leave `inversion` out", field="inversion")
        edit = resolve_call(self._checkpoint, len(inputs.masks), None, target_prompt, regions, config)
        return self._edit(inputs, source_prompt, edit.target_prompt, edit.config, on_progress, on_preview)

    @property
    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(
            name="this checkpoint",
            methods=(self.method,),
            inversions=(),
            tokenize=self.backbone.tokenize,
            max_tokens=self.backbone.max_tokens,
            vocabulary=self.backbone.vocabulary,
        )

    @torch.no_grad()
    def edit(
        self,
        image: Image.Image,
        masks: Sequence[Image.Image],
        source_prompt: str,
        target_prompt: str,
        regions: Sequence[Region],
        config: EditConfig,
        *,
        inversion: Inversion | None = None,
        on_progress: OnProgress | None = None,
        on_inverted: Callable[[Inversion], None] | None = None,
        on_preview: OnPreview | None = None,
        on_trace: OnTrace | None = None,
    ) -> MAGEditOutput:
        """As `MAGEditPipeline.edit`."""
        del regions, inversion, on_inverted, on_trace
        return self._edit(trusted_inputs(image, masks), source_prompt, target_prompt, config, on_progress, on_preview)

    def _edit(
        self,
        inputs: Inputs,
        source_prompt: str,
        target_prompt: str,
        config: EditConfig,
        on_progress: OnProgress | None,
        on_preview: OnPreview | None,
    ) -> MAGEditOutput:
        image, union = inputs.image, inputs.union
        box, crop, mask = inputs.crop(self.backbone.size, config.crop_context)
        previews = None
        if on_preview is not None:
            previews = Previews(self.latent_colours, on_preview, image, union, box, interval_s=self.preview_interval_s)
        margin = pixels.paste_margin_px(box, config.paste_margin)
        results, pictures, latents = [], [], []
        reproduced = self.backbone.decode(self.backbone.encode_image(crop))
        known = pixels.psnr_inside(crop, reproduced, mask)
        with shown(self._bar, on_progress) as report:
            meter = Meter(expected_work(config, inverted=True), report)
            for number, each in enumerate(config.variants):
                latent = self._sample(crop, target_prompt, each, meter, previews, number)
                picture = self.backbone.decode(latent)
                flagged = self.backbone.is_objectionable(picture)
                latents.append(latent)
                pasted = pixels.paste_back(image, picture, union, box, margin)
                pictures.append(restore(pasted, inputs.original))
                results.append(
                    ResultMeasures(
                        method=each.method,
                        seed=each.seed,
                        strength=each.strength,
                        outside_difference=pixels.outside_difference(image, pasted, union, margin),
                        outside_sha256=pixels.outside_sha256(pictures[-1], union, margin),
                        inside_difference=pixels.inside_difference(reproduced, picture, mask),
                        nsfw_content_detected=flagged,
                    )
                )
        flags = [each.nsfw_content_detected for each in results]
        checked = flags[0] is not None
        return MAGEditOutput(
            images=pictures,
            measures=EditMeasures(
                words=tuple(() for _ in inputs.masks),
                unet_forward=meter.forward,
                stage_seconds={name: round(seconds, 4) for name, seconds in meter.seconds.items()},
                crop=box,
                paste_margin_px=margin,
                outside_difference=max(each.outside_difference for each in results),
                reconstruction=Reconstruction(vae=known, inversion=known),
                nsfw_content_detected=any(flags) if checked else None,
                results=tuple(results),
            ),
            inversion=Inversion(Inverted((), (), exact=True), box, image.size, source_prompt, config),
            edited=tuple(EditedLatent(latent, _NO_LATENT, (), (), ()) for latent in latents),
            attention=(),
            attention_steps=(),
            nsfw_content_detected=[bool(each) for each in flags] if checked else None,
        )

    def _sample(
        self,
        crop: Image.Image,
        instruction: str,
        config: EditConfig,
        meter: Meter,
        previews: Previews | None,
        result: int,
    ) -> Tensor:
        """The latent (1, C, h, w) of the edited crop."""

        def step(_pipe: Any, number: int, _timestep: int, tensors: dict[str, Any]) -> dict[str, Any]:
            if previews is not None and previews.is_due:
                # Still noisy: diffusers' callback provides only this latent.
                previews.show(tensors["latents"], result=result, step=number + 1, steps=config.steps)
            meter.passed(forward=1)
            meter.stepped()
            return tensors

        with meter.stage(Stage.EDIT, config.steps):
            output = self.backbone(
                instruction,
                image=crop,
                num_inference_steps=config.steps,
                guidance_scale=config.guidance_scale,
                image_guidance_scale=config.image_guidance_scale,
                negative_prompt=config.negative_prompt or None,
                eta=config.eta,
                generator=torch.Generator("cpu").manual_seed(config.seed),
                callback_on_step_end=step,
                # Its own decoding blackens flagged pictures; here the caller decides.
                output_type="latent",
            )
        latent: Tensor = output.images.float()
        return latent


__all__ = ["InstructPipeline"]
