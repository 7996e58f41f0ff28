"""`MAGEditPipeline`: localized editing of a real image with any checkpoint of a family in `backbones`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, Self

import torch
from PIL import Image
from torch import Tensor

from magedit.backbones.base import Backbone, Conditioning, frozen
from magedit.backbones.checkpoints.inspect import CheckpointInfo
from magedit.backbones.denoiser import Denoiser
from magedit.backbones.registry import load_backbone
from magedit.config import EditConfig, Region, SamplingParameters
from magedit.config.loras import find_loras, names_in
from magedit.edits.checkpoint import Checkpoint
from magedit.errors import NotTogether
from magedit.images.inputs import Picture, as_image
from magedit.images.transparency import flatten
from magedit.inversion.base import InversionTask, Inverted
from magedit.inversion.registry import INVERSIONS
from magedit.masks.finding import locate
from magedit.masks.shapes import read_prompt
from magedit.measures.meter import Meter, OnProgress, expected_work
from magedit.measures.report import OnPreview, OnTrace, Stage
from magedit.methods.compatibility import check_suited, check_together, with_defaults
from magedit.methods.registry import METHODS
from magedit.pipelines.base import Pipeline
from magedit.pipelines.inputs import (
    Inputs,
    Mask,
    WorkingCrop,
    as_config,
    as_masks,
    check_prompts,
    read_inputs,
    resolve_call,
    shapes_to_find,
    trusted_inputs,
)
from magedit.pipelines.output import Inversion, MAGEditOutput
from magedit.pipelines.plan import edit_tasks
from magedit.pipelines.preview import Previews
from magedit.pipelines.progress import shown
from magedit.pipelines.results import finish
from magedit.prompts.alignment import Encoded
from magedit.prompts.weights import PromptSyntax
from magedit.segmenters.detector import Detector
from magedit.segmenters.finder import Finders, FoundMasks
from magedit.segmenters.sam import SamSegmenter

OnStepEnd = Callable[[Any, int, int, dict[str, Any]], dict[str, Any]]
"""A callback of diffusers' convention: pipeline, step, time step, tensors that it may change."""


class MAGEditPipeline(Pipeline):
    """Localized image editing (MAG-Edit, arXiv 2312.11396) in diffusers' conventions.

    The weights are never changed, and a call restores the model on every exit. A call stores nothing on ``self``.
    ``batch_results`` may be set; it is the maximum number of results in one batch of the model: larger batches are
    faster, need more memory and differ in rounding. ``lora_dir`` may be set, too; it is the folder of the files named
    in `EditConfig.lora`.
    """

    backbone: Backbone

    @classmethod
    def from_pretrained(cls, checkpoint: str | Path | CheckpointInfo, **options: Any) -> Self:
        """Load a folder, hub id or single file; arguments and errors as `magedit.backbones.registry.load_backbone`."""
        return cls(load_backbone(checkpoint, **options))

    @property
    def _checkpoint(self) -> Checkpoint:
        """The facts about the checkpoint that resolving edits needs."""
        return Checkpoint(
            name="this checkpoint",
            methods=tuple(card.name for card in METHODS.values() if not card.own_checkpoint),
            inversions=tuple(INVERSIONS),
            tokenize=self._read,
            max_tokens=self.backbone.max_tokens,
            vocabulary=self.backbone.vocabulary,
            step_sizes=self.backbone.step_sizes,
            traits=self.backbone.traits,
            defaults=self.backbone.defaults,
            loras=names_in(self.lora_dir),
            max_clip_skip=self.backbone.max_clip_skip,
        )

    def _read(self, prompt: str) -> Encoded:
        """The prompt's tokens of the first text encoder, whose length limits prompts."""
        return self.backbone.tokenize(prompt).parts(self.backbone.text_columns)[0][0]

    # --- public calls ---

    @torch.no_grad()
    def invert(
        self,
        image: Picture,
        masks: Mask | Sequence[Mask],
        source_prompt: str,
        *,
        config: EditConfig | None = None,
        on_progress: OnProgress | None = None,
    ) -> Inversion:
        """Invert the working crop of ``image`` around ``masks`` under ``source_prompt`` (arguments as `__call__`).

        Raises:
            InvalidEdit: see `__call__`.
        """
        config = as_config(config)
        config = with_defaults(config, self.backbone.defaults, given=config.given)
        check_suited(config, self.backbone.traits, "this checkpoint")
        check_together(config)
        inputs = read_inputs(image, masks, config.mask_softness)
        check_prompts(source_prompt=source_prompt)
        expected = expected_work(config, inverted=False)
        expected[Stage.EDIT] = 0.0
        with self._unchanged(config), shown(self._bar, on_progress) as report:
            crop = inputs.crop(self.backbone.size, config.crop_context)
            encode = cache(partial(self.backbone.encode, clip_skip=config.clip_skip))
            inversion = self._invert(inputs, crop, source_prompt, config, Meter(expected, report), encode)
        self.backbone.release()
        return inversion

    @torch.no_grad()
    def __call__(
        self,
        image: Picture,
        masks: Mask | Sequence[Mask] = (),
        source_prompt: str | None = None,
        target_prompt: str | None = None,
        regions: Region | Sequence[Region] = (),
        config: EditConfig | None = None,
        *,
        instruction: str | None = None,
        prompt_syntax: PromptSyntax = "plain",
        segmenter: SamSegmenter | None = None,
        detector: Detector | None = None,
        inversion: Inversion | None = None,
        generator: torch.Generator | None = None,
        output_type: str = "pil",
        on_progress: OnProgress | None = None,
        on_inverted: Callable[[Inversion], None] | None = None,
        on_preview: OnPreview | None = None,
        callback_on_step_end: OnStepEnd | None = None,
    ) -> MAGEditOutput:
        """Edit ``image`` inside ``masks`` so that it shows ``target_prompt`` instead of ``source_prompt``.

        Args:
            image: the picture, any size (`magedit.images.inputs.Picture`); the model sees it as RGB, on white where it
                is transparent, and the result gets its alpha back (`magedit.images.transparency`).
            masks: one, or one per region: pictures of the image's size, whose pixels of 128 and more are edited (see
                `read_mask`), or masks as data (`magedit.masks.shapes.MaskShape`, also as mappings); with
                `mask_softness` ``strength`` grey ones by as much. None, with an instruction: the thing that it names is
                located.
            source_prompt: what the picture shows; None: the thing that the instruction names.
            target_prompt: what it should show; None: derived from the instruction.
            regions: words per mask, in the masks' order; None: each mask gets what the target prompt changes.
            config: how to edit; parameters that were not ``given`` take the defaults of the edit's kind
                (`magedit.prompts.kinds`).
            instruction: what to do, in one English sentence (`magedit.instructions.rules`).
            prompt_syntax: ``a1111`` reads weights of the prompts as factors of the equalizer
                (`magedit.prompts.weights`).
            segmenter: as `segment`, for masks by points, words and instruction.
            detector: the same.
            inversion: of the same image, mask union, prompt and settings (`invert`, or an earlier output's).
            generator: source of all fresh noise, regardless of the seed; default: each result's seed.
            output_type: ``pil``, or ``latent`` for z*_0 of the working crop, (1, C, h, w).
            on_progress: called after each pass; an exception from it ends the edit and restores the model.
            on_inverted: called with a fresh inversion before the edit begins, so that it can be kept.
            on_preview: called with a preview after a step, at most once in ``preview_interval_s`` seconds.
            callback_on_step_end: diffusers' convention, with ``latents`` in its dictionary.

        Raises:
            InvalidEdit: masks, prompts, words or names do not fit; each leaf says what and how to mend it.
            NoGuidanceLayers: the checkpoint has no maps at its guidance resolution. EditDiverged: guidance drove the
            latent out of range.

        Warns:
            UserWarning: words that were not given were read from the prompts with some doubt; or weights of the
                source prompt have no effect.
        """
        config = as_config(config)
        picture = as_image(image, "image")
        given = as_masks(masks)
        if not given and instruction is None:
            read_inputs(picture, ())  # raises
        check_prompts(source_prompt=source_prompt, target_prompt=target_prompt, instruction=instruction)
        if METHODS[config.method].own_checkpoint:
            raise NotTogether(
                f"method {config.method!r} needs a checkpoint in InstructPix2Pix layout, which this is not"
            )
        edit = resolve_call(
            self._checkpoint, len(given), source_prompt, target_prompt, regions, config, prompt_syntax, instruction
        )
        is_told = not given
        if edit.instruction is not None and is_told:
            given = [edit.instruction.shape]
        shapes = shapes_to_find(given, picture.size)
        finders = Finders.of(self.backbone, segmenter or self._segmenter, detector) if shapes else None
        located = locate(
            finders, flatten(picture), shapes, instructed=is_told, takes_room=edit.takes_room, field="masks"
        )
        for number, mask in located.masks.items():
            given[number] = mask
        inputs = read_inputs(picture, given, config.mask_softness)
        output = self._edit(
            inputs,
            edit.source_prompt,
            edit.target_prompt,
            edit.regions,
            edit.config,
            inversion=inversion,
            generator=generator,
            output_type=output_type,
            on_progress=on_progress,
            on_inverted=on_inverted,
            on_preview=on_preview,
            callback=callback_on_step_end,
        )
        return replace(output, measures=located.noted(output.measures, edit.instruction))

    @cached_property
    def _segmenter(self) -> SamSegmenter | None:
        return SamSegmenter.beside(self.name_or_path)

    def segment(
        self,
        image: Picture,
        *,
        words: str | None = None,
        points: Sequence[Sequence[float]] = (),
        box: Sequence[float] | None = None,
        segmenter: SamSegmenter | None = None,
        detector: Detector | None = None,
        **operations: Any,
    ) -> FoundMasks:
        """Find masks in ``image``: by ``words`` with the detector or this checkpoint's own attention, by ``points`` and
        a ``box`` with the segmenter or, again, attention.

        Args:
            image: the picture, any size.
            words: the object, and which of several: ``"left sofa"``, ``"second pillow"``.
            points: clicks, each x, y and label in pixels: 1 on the object, 0 off it.
            box: x, y, width and height around the object, in pixels.
            segmenter: a loaded model of SAM's layout (`magedit.segmenters.sam.SamSegmenter.load`); default: for a
                checkpoint of the demo the segmenter that ships (`SamSegmenter.beside`), loaded once.
            detector: a loaded detector (`magedit.segmenters.detector.Detector.load`).
            operations: ``grow``, ``shrink``, ``invert``, ``fill_holes``.

        Raises:
            InvalidEdit: the prompt is not valid, or nothing is found; each leaf says what and how to mend it.
        """
        prompt = read_prompt({"words": words, "points": list(points), "box": box, **operations})
        segmenter = segmenter or self._segmenter
        return Finders.of(self.backbone, segmenter, detector).find(flatten(as_image(image, "image")), prompt)

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
        """`__call__` with a resolved edit (`magedit.edits.resolve`): nothing is checked or decided again.

        ``masks`` are of mode L, 0 and 255 (soft ones grey) and of the image's size; ``regions``, one per mask, have
        their words.
        """
        return self._edit(
            trusted_inputs(image, masks, config.mask_softness),
            source_prompt,
            target_prompt,
            regions,
            config,
            inversion=inversion,
            on_progress=on_progress,
            on_inverted=on_inverted,
            on_preview=on_preview,
            on_trace=on_trace,
        )

    def _edit(
        self,
        inputs: Inputs,
        source_prompt: str,
        target_prompt: str,
        regions: Sequence[Region],
        config: EditConfig,
        *,
        inversion: Inversion | None,
        on_progress: OnProgress | None,
        on_inverted: Callable[[Inversion], None] | None,
        on_preview: OnPreview | None,
        on_trace: OnTrace | None = None,
        generator: torch.Generator | None = None,
        output_type: str = "pil",
        callback: OnStepEnd | None = None,
    ) -> MAGEditOutput:
        image, backbone = inputs.image, self.backbone
        reused, encode = inversion is not None, cache(partial(backbone.encode, clip_skip=config.clip_skip))
        crop = inputs.crop(backbone.size, config.crop_context)
        with shown(self._bar, on_progress) as report:
            meter = Meter(expected_work(config, inverted=reused), report)
            with self._unchanged(config):
                if inversion is None:
                    inversion = self._invert(inputs, crop, source_prompt, config, meter, encode)
                    if on_inverted is not None and METHODS[config.method].inversions:
                        on_inverted(inversion)
                else:
                    inversion.require_fit(crop.box, image.size, source_prompt, config)
                    inversion = inversion.to(backbone.execution_device)
                tasks = edit_tasks(
                    backbone,
                    self._denoiser(config, meter),
                    inputs,
                    source_prompt,
                    target_prompt,
                    regions,
                    config,
                    inversion,
                    encode=encode,
                    generator=generator,
                    on_step=partial(self._call_back, callback) if callback is not None else None,
                )
                if on_preview is not None:
                    shown_in, interval_s = (image, inputs.union, crop.box), self.preview_interval_s
                    previews = Previews(self.latent_colours, on_preview, *shown_in, interval_s=interval_s)
                    tasks = [previews.watch(task, number) for number, task in enumerate(tasks)]
                if on_trace is not None:
                    tasks = [replace(task, on_trace=partial(on_trace, number)) for number, task in enumerate(tasks)]
                edited = METHODS[config.method].load()(tasks)
            made = (inversion, edited, regions, config, meter)
            output = finish(backbone, inputs, crop, *made, reused=reused, output_type=output_type)
        self.backbone.release()
        return output

    # --- steps of a call ---

    @contextmanager
    def _unchanged(self, config: EditConfig) -> Iterator[None]:
        """Apply the edit's LoRAs and disable gradients of the weights inside; restored on every exit."""
        backbone = self.backbone
        loras = backbone.with_loras(find_loras(config.lora, self.lora_dir))
        with loras, frozen(backbone.network), backbone.own_attention():
            yield

    def _invert(
        self,
        inputs: Inputs,
        crop: WorkingCrop,
        source_prompt: str,
        config: EditConfig,
        meter: Meter,
        encode: Callable[[str], Conditioning],
    ) -> Inversion:
        with meter.stage(Stage.PREPARE, 1):
            latent = self.backbone.encode_image(crop.image)
            source, empty = encode(source_prompt), encode("")
            meter.stepped()
        task = InversionTask(self._denoiser(config, meter), latent, source, empty, config)
        if METHODS[config.method].inversions:
            inverted = INVERSIONS[config.inversion].load()(task)
        else:
            inverted = Inverted((latent,), (empty,) * config.steps, exact=True)
        return Inversion(inverted, crop.box, inputs.image.size, source_prompt, config)

    def _call_back(self, callback: OnStepEnd, step: int, timestep: float, latent: Tensor) -> Tensor:
        """The latent as diffusers' callback leaves it."""
        changed: Tensor = callback(self, step, round(timestep), {"latents": latent}).get("latents", latent)
        return changed

    def _denoiser(self, config: SamplingParameters, meter: Meter) -> Denoiser:
        return Denoiser(self.backbone, self.backbone.process(config.steps), meter, self.batch_results)


__all__ = ["Inversion", "MAGEditOutput", "MAGEditPipeline"]
