"""`MAGEditPipeline`: localized editing of a real image with any checkpoint of Stable Diffusion 1.x/2.x layout."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiffusionPipeline, UNet2DConditionModel
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from magedit.backbones.ddim import Schedule
from magedit.backbones.loading import correct_size, naming, prepare
from magedit.backbones.single_file.loader import load_parts
from magedit.backbones.stable_diffusion.attention import find_layers, guidance_layers, own_attention
from magedit.backbones.stable_diffusion.denoiser import Denoiser, frozen
from magedit.config import STRENGTH_POWER, EditConfig, Region
from magedit.edits.asked import AskedEdit
from magedit.edits.checkpoint import PAPER_SCALE, Checkpoint, StepSizes
from magedit.edits.resolve import resolve
from magedit.errors import CheckpointError, NotTogether
from magedit.guidance.constraints import resample_mask
from magedit.images import masks as pixels
from magedit.images.inputs import Picture
from magedit.images.transparency import restore
from magedit.inversion.base import InversionTask, Inverted
from magedit.inversion.registry import INVERSIONS
from magedit.meter import Meter, OnProgress, expected_work
from magedit.methods.base import EditTask
from magedit.methods.compatibility import check_together
from magedit.methods.registry import METHODS
from magedit.passes import BATCH_RESULTS
from magedit.pipelines.autoencoder import decode, encode, is_objectionable
from magedit.pipelines.inputs import Inputs, as_config, as_regions, check_prompts, read_inputs, trusted_inputs
from magedit.pipelines.output import Inversion, MAGEditOutput
from magedit.pipelines.plan import (
    blend_tokens,
    changeable,
    edit_values,
    injection_between,
    result_measures,
    word_targets,
)
from magedit.pipelines.progress import shown
from magedit.prompts.alignment import Encoded
from magedit.prompts.weights import PromptSyntax
from magedit.report import EditMeasures, Reconstruction, ResultMeasures, Stage

GUIDANCE_DIVISOR = 4
"""Guidance reads the maps at 1/4 of the latent's resolution (paper 4.2: 16 of 64), unless the checkpoint says else."""


class MAGEditPipeline(DiffusionPipeline):  # type: ignore[misc]
    """Localized image editing (MAG-Edit, arXiv 2312.11396) in diffusers' conventions.

    Loads any folder, hub id or file of Stable Diffusion 1.x/2.x with `from_pretrained`; sizes, VAE factor and
    prediction type are read from it. Three keys of its ``model_index.json`` are this program's own, all optional:
    ``guidance_resolution``, the side of the cross-attention maps that guidance reads (default: a quarter of the
    latent's), ``guidance_step_size``, the default of the parameter of that name (2.5), and ``spatial_step_size``, the
    same for the spatial ratio, whose gradient may be of quite another size (default: ``guidance_step_size``); the
    quotient of the two weighs the losses of ``both``.

    The weights are never changed, and a call leaves the UNet as it found it however it ends. Nothing is kept on
    ``self`` between calls. ``batch_results``, which may be set, is how many results of one edit may go through the UNet
    in one batch: more take less time and more memory, and differ in rounding.
    """

    batch_results: int = BATCH_RESULTS

    model_cpu_offload_seq = "text_encoder->unet->vae"
    _optional_components: ClassVar[list[str]] = ["safety_checker", "feature_extractor", "image_encoder"]
    _exclude_from_cpu_offload: ClassVar[list[str]] = ["safety_checker"]

    def __init__(
        self,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        unet: UNet2DConditionModel,
        scheduler: Any,
        safety_checker: Any = None,
        feature_extractor: Any = None,
        image_encoder: Any = None,
        requires_safety_checker: bool = False,
        guidance_resolution: int | None = None,
        guidance_step_size: float = PAPER_SCALE,
        spatial_step_size: float | None = None,
    ) -> None:
        super().__init__()
        # The algorithm is defined on DDIM; SD 1.x ships PNDM with the same betas.
        scheduler = DDIMScheduler.from_config(
            scheduler.config, clip_sample=False, set_alpha_to_one=False, timestep_spacing="leading"
        )
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            scheduler=scheduler,
            safety_checker=safety_checker,
            feature_extractor=feature_extractor,
            image_encoder=image_encoder,
        )
        self.register_to_config(
            requires_safety_checker=requires_safety_checker,
            guidance_resolution=guidance_resolution,
            guidance_step_size=guidance_step_size,
            spatial_step_size=spatial_step_size,
        )
        if unet.config.in_channels != vae.config.latent_channels:
            raise CheckpointError(
                f"the UNet takes {unet.config.in_channels} channels, the VAE gives {vae.config.latent_channels}: "
                "inpainting, depth and upscaling checkpoints cannot be edited with"
            )
        correct_size(unet, vae)

    @classmethod
    def from_pretrained(cls, checkpoint: str | Path, **options: Any) -> Self:
        """Load a folder, hub id or single file (``.safetensors``, ``.ckpt``); its configs are read first.

        Args:
            checkpoint: what to load.
            options: as diffusers takes them; ``vae`` may also be a folder, hub id or file, ``safety_checker=None``
                leaves the checkpoint's own out, and ``variant`` is "fp16" by itself where no other files are there.

        Raises:
            CheckpointError: it cannot be edited with; says in one sentence what it is and what to do.
        """
        found, options = prepare(checkpoint, options)
        if found.family == "instruct-pix2pix":
            raise CheckpointError(f"{found.sentence}: load it with InstructPipeline")
        if found.layout != "file":
            with naming(found):
                pipe: Self = super().from_pretrained(str(checkpoint), **options)
            return pipe
        parts = load_parts(found, options["dtype"])
        own = {name: value for name, value in options.items() if name in inspect.signature(cls).parameters}
        return cls(**(parts | own))

    # --- what the checkpoint is ---

    @property
    def vae_factor(self) -> int:
        """Pixels per latent cell."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def latent_side(self) -> int:
        """Side of the latent the checkpoint was trained on."""
        size = self.unet.config.sample_size
        return int(size if isinstance(size, int) else size[0])

    @property
    def size(self) -> int:
        """Side of the checkpoint's pictures in pixels; edits work on a square crop of this size."""
        return self.latent_side * self.vae_factor

    @property
    def guidance_side(self) -> int:
        """Side of the cross-attention maps that guidance reads."""
        return int(self.config.guidance_resolution or self.latent_side // GUIDANCE_DIVISOR)

    @property
    def max_tokens(self) -> int:
        """Tokens of a prompt, begin and end included (77 for CLIP)."""
        positions = int(self.text_encoder.config.max_position_embeddings)
        return min(int(self.tokenizer.model_max_length), positions)

    @property
    def step_sizes(self) -> StepSizes:
        """Its own step sizes of guidance."""
        token = self.config.guidance_step_size
        return StepSizes(token=token, spatial=self.config.spatial_step_size or token)

    @property
    def _checkpoint(self) -> Checkpoint:
        """Itself, as edits are resolved for it."""
        return Checkpoint(
            name="this checkpoint",
            methods=tuple(card.name for card in METHODS.values() if not card.own_checkpoint),
            inversions=tuple(INVERSIONS),
            tokenize=self.tokenize,
            max_tokens=self.max_tokens,
            step_sizes=self.step_sizes,
        )

    def tokenize(self, prompt: str) -> Encoded:
        """Tokens of ``prompt`` with begin and end token, unpadded and uncut, and their character spans."""
        encoding = self.tokenizer(prompt, return_offsets_mapping=True, truncation=False)
        return Encoded(tuple(encoding["input_ids"]), tuple(map(tuple, encoding["offset_mapping"])))

    def tokenizer_json(self) -> str:
        """The tokenizer as ``tokenizer.json``, for processes without transformers."""
        return str(self.tokenizer.backend_tokenizer.to_str())

    # --- what it does ---

    @torch.no_grad()
    def invert(
        self,
        image: Picture,
        masks: Picture | Sequence[Picture],
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
        check_together(config)
        inputs = read_inputs(image, masks)
        check_prompts(source_prompt=source_prompt)
        expected = expected_work(config, inverted=False)
        expected[Stage.EDIT] = 0.0
        with self._shown(on_progress) as report, frozen(self.unet), own_attention(self.unet):
            inversion = self._invert(inputs, source_prompt, config, Meter(expected, report), cache(self._embed))
        self.maybe_free_model_hooks()
        return inversion

    @torch.no_grad()
    def __call__(
        self,
        image: Picture,
        masks: Picture | Sequence[Picture],
        source_prompt: str,
        target_prompt: str,
        regions: Region | Sequence[Region] = (),
        config: EditConfig | None = None,
        *,
        prompt_syntax: PromptSyntax = "plain",
        inversion: Inversion | None = None,
        generator: torch.Generator | None = None,
        output_type: str = "pil",
        on_progress: OnProgress | None = None,
        on_inverted: Callable[[Inversion], None] | None = None,
        callback_on_step_end: Callable[[Any, int, int, dict[str, Any]], dict[str, Any]] | None = None,
    ) -> MAGEditOutput:
        """Edit ``image`` inside ``masks`` so that it shows ``target_prompt`` instead of ``source_prompt``.

        Args:
            image: the picture, any size (`magedit.images.inputs.Picture`); the model sees it as RGB, on white where it
                is transparent, and the result gets its alpha back (`magedit.images.transparency`).
            masks: one, or one per region, each of the image's size, pixels of 128 and more are edited (see
                `read_mask`).
            source_prompt: what the picture shows.
            target_prompt: what it shall show.
            regions: words per mask, in the masks' order; none: each mask gets what the target prompt changes.
            config: how to edit; what it was not ``given`` is as the kind of edit has it, told by the prompts
                (`magedit.prompts.kinds`).
            prompt_syntax: ``a1111`` reads weights of the prompts as factors of the equalizer
                (`magedit.prompts.weights`).
            inversion: of the same image, mask union, prompt and settings (`invert`, or an earlier output's).
            generator: source of all fresh noise, which is then drawn whatever the seed; default: each result's seed.
            output_type: ``pil``, or ``latent`` for z*_0 of the working crop, (1, C, h, w).
            on_progress: called after each UNet pass; what it raises ends the edit and leaves the UNet as it was.
            on_inverted: called with a fresh inversion before the edit begins, so that it can be kept.
            callback_on_step_end: diffusers' convention, with ``latents`` in its dictionary.

        Raises:
            InvalidEdit: masks, prompts, words or names do not fit; each leaf says what and how to mend it.
            NoGuidanceLayers: the checkpoint has no maps at its guidance resolution.
            EditDiverged: guidance drove the latent out of range.

        Warns:
            UserWarning: words that nobody gave were read from the prompts, and that is not sure; or weights of the
                source prompt have no effect.
        """
        config, inputs = as_config(config), read_inputs(image, masks)
        check_prompts(source_prompt=source_prompt, target_prompt=target_prompt)
        if METHODS[config.method].own_checkpoint:
            raise NotTogether(f"method {config.method!r} needs a checkpoint of InstructPix2Pix layout; this is none")
        asked = AskedEdit(
            source_prompt=source_prompt,
            target_prompt=target_prompt,
            regions=as_regions(regions) or None,
            prompt_syntax=prompt_syntax,
            config=config,
            given=config.given,
        )
        edit = resolve(asked, self._checkpoint, masks=len(inputs.masks)).edit()
        for warning in edit.warnings:
            warnings.warn(warning.message, stacklevel=3)  # the caller's line, past torch's decorator
        return self._edit(
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
            callback=callback_on_step_end,
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
    ) -> MAGEditOutput:
        """`__call__` of what is resolved already (`magedit.edits.resolve`): nothing is checked or decided again.

        ``masks`` are of mode L, 0 and 255 and of the image's size; ``regions``, one per mask, have their words.
        """
        return self._edit(
            trusted_inputs(image, masks),
            source_prompt,
            target_prompt,
            regions,
            config,
            inversion=inversion,
            on_progress=on_progress,
            on_inverted=on_inverted,
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
        generator: torch.Generator | None = None,
        output_type: str = "pil",
        callback: Callable[[Any, int, int, dict[str, Any]], dict[str, Any]] | None = None,
    ) -> MAGEditOutput:
        original, image, masks, union = inputs.original, inputs.image, inputs.masks, inputs.union
        load = METHODS[config.method].load
        assert load is not None
        reused, embed = inversion is not None, cache(self._embed)
        with self._shown(on_progress) as report:
            meter = Meter(expected_work(config, inverted=reused), report)
            with frozen(self.unet), own_attention(self.unet):
                if inversion is None:
                    inversion = self._invert(inputs, source_prompt, config, meter, embed)
                    if on_inverted is not None and METHODS[config.method].inversions:
                        on_inverted(inversion)
                else:
                    box = pixels.working_crop(union, self.size, config.crop_context)
                    inversion.require_fit(box, image.size, source_prompt, config)
                    inversion = inversion.to(self._execution_device)
                both = (source_prompt, target_prompt)
                tasks = [
                    self._task(masks, *both, regions, each, inversion, meter, embed, generator, callback)
                    for each in config.variants
                ]
                edited = load()(tasks)
            margin = pixels.paste_margin_px(inversion.box, config.paste_margin)
            pictures: list[Image.Image] = []
            own: list[ResultMeasures] = []
            reproduced, reconstruction = None, None
            with meter.stage(Stage.DECODE, len(edited)):
                if output_type != "latent":
                    reproduced, reconstruction = self._reconstruct(inputs, inversion, edited[0].source)
                for variant, each in zip(config.variants, edited, strict=True):
                    difference, inside, flagged = 0, None, None
                    if output_type != "latent":
                        picture = decode(self.vae, each.latent)
                        flagged = is_objectionable(self, picture, self._execution_device)
                        if reproduced is not None:
                            inside = pixels.inside_difference(reproduced, picture, self._crop(union, inversion))
                        changing = changeable(union, each.mask, inversion.box)
                        pasted = pixels.paste_back(image, picture, changing, inversion.box, margin)
                        difference = pixels.outside_difference(image, pasted, union, margin)
                        pictures.append(restore(pasted, original))
                    own.append(result_measures(variant, each, difference, inside, flagged))
                    meter.stepped()
        self.maybe_free_model_hooks()
        flags = [bool(each.nsfw_content_detected) for each in own]
        checked = own[0].nsfw_content_detected is not None
        return MAGEditOutput(
            images=torch.cat([each.latent for each in edited]) if output_type == "latent" else pictures,
            measures=EditMeasures(
                before=own[0].before,
                after=own[0].after,
                words=tuple(region.words for region in regions),
                unet_forward=meter.forward,
                unet_truncated_forward=meter.truncated,
                unet_backward=meter.backward,
                stage_seconds={name: round(seconds, 4) for name, seconds in meter.seconds.items()},
                crop=inversion.box,
                paste_margin_px=margin,
                outside_difference=max(each.outside_difference for each in own),
                inversion_reused=reused,
                reconstruction=reconstruction,
                nsfw_content_detected=any(flags) if checked else None,
                results=tuple(own),
                trace=edited[0].trace,
            ),
            inversion=inversion,
            edited=edited,
            attention=edited[0].attention,
            attention_steps=edited[0].attention_steps,
            nsfw_content_detected=flags if checked else None,
        )

    # --- how ---

    def _shown(self, on_progress: OnProgress | None) -> AbstractContextManager[OnProgress]:
        """The progress bar of a call, as `set_progress_bar_config` has set it up."""
        return shown(getattr(self, "_progress_bar_config", {}), on_progress)

    def _invert(
        self, inputs: Inputs, source_prompt: str, config: EditConfig, meter: Meter, embed: Callable[[str], Tensor]
    ) -> Inversion:
        box = pixels.working_crop(inputs.union, self.size, config.crop_context)
        with meter.stage(Stage.PREPARE, 1):
            latent = self._encode(pixels.crop_to(inputs.image, box, self.size))
            source, empty = embed(source_prompt), embed("")
            meter.stepped()
        task = InversionTask(self._denoiser(config, meter), latent, source, empty, config)
        if METHODS[config.method].inversions:
            inverted = INVERSIONS[config.inversion].load()(task)
        else:
            inverted = Inverted((latent,), (empty,) * config.steps, exact=True)
        return Inversion(inverted, box, inputs.image.size, source_prompt, config)

    def _task(
        self,
        masks: Sequence[Image.Image],
        source_prompt: str,
        target_prompt: str,
        regions: Sequence[Region],
        config: EditConfig,
        inversion: Inversion,
        meter: Meter,
        embed: Callable[[str], Tensor],
        generator: torch.Generator | None,
        callback: Callable[[Any, int, int, dict[str, Any]], dict[str, Any]] | None,
    ) -> EditTask:
        layers = find_layers(self.unet, self.latent_side)
        read = guidance_layers(layers, self.guidance_side)
        device = self._execution_device
        source, target = self.tokenize(source_prompt), self.tokenize(target_prompt)
        crops = [pixels.crop_to(mask, inversion.box, self.size) for mask in masks]
        region_masks = [torch.tensor(np.asarray(crop) > 0, dtype=torch.float32, device=device) for crop in crops]
        mask = resample_mask(torch.stack(region_masks).amax(0), self.latent_side, config.mask_resampling)
        words = word_targets(target_prompt, target, regions, region_masks, read, config)

        def on_step(step: int, timestep: int, latent: Tensor) -> Tensor:
            assert callback is not None
            changed: Tensor = callback(self, step, timestep, {"latents": latent}).get("latents", latent)
            return changed

        embedding = embed(target_prompt)
        step_size, config = self._step_size(config)
        return EditTask(
            denoiser=self._denoiser(config, meter),
            inverted=inversion.inverted,
            config=config,
            source=embed(source_prompt),
            target=embedding,
            negative=embed(config.negative_prompt) if config.negative_prompt else None,
            injection=injection_between(
                self.unet,
                (source_prompt, source),
                (target_prompt, target),
                self.max_tokens,
                layers,
                words,
                config,
                device,
            ),
            guidance_layers=read,
            words=words,
            blend_tokens=blend_tokens(source_prompt, source, target, words),
            layers=layers,
            values=edit_values(inversion.inverted, source, target, embedding, config),
            regions=len(regions),
            mask=mask,
            blend_mask=torch.nn.functional.max_pool2d(mask[None], 3, stride=1, padding=1)[0],
            step_size=step_size * config.strength**STRENGTH_POWER,
            generator=generator or torch.Generator("cpu").manual_seed(config.seed),
            renoised=generator is not None or config.seed != 0,
            on_step=on_step if callback is not None else None,
        )

    def _step_size(self, config: EditConfig) -> tuple[float, EditConfig]:
        """The step size of guidance at full strength, and the configuration with `both` weighed for this checkpoint."""
        own = self.step_sizes
        if config.constraint == "both":
            config = replace(config, spatial_weight=config.spatial_weight * own.spatial / own.token)
        return own.step_size(config), config

    def _denoiser(self, config: EditConfig, meter: Meter) -> Denoiser:
        return Denoiser(self.unet, Schedule.from_scheduler(self.scheduler, config.steps), meter, self.batch_results)

    def _embed(self, prompt: str) -> Tensor:
        """Prompt embedding (1, tokens, width), padded to the encoder's length."""
        inputs = self.tokenizer(
            prompt, padding="max_length", max_length=self.max_tokens, truncation=False, return_tensors="pt"
        )
        embedding: Tensor = self.text_encoder(inputs.input_ids.to(self._execution_device))[0]
        return embedding.float()

    def _encode(self, crop: Image.Image) -> Tensor:
        """Latent (1, C, h, w) of a picture of the checkpoint's size: posterior mean times scaling factor, fp32."""
        return encode(self.vae, crop, self._execution_device)

    def _crop(self, picture: Image.Image, inversion: Inversion) -> Image.Image:
        return pixels.crop_to(picture, inversion.box, self.size)

    def _reconstruct(
        self, inputs: Inputs, inversion: Inversion, source: Tensor
    ) -> tuple[Image.Image, Reconstruction | None]:
        """The unedited crop as the model gives it back, and how near that is; ``source`` is the source branch's z_0."""
        crop, mask = (self._crop(each, inversion) for each in (inputs.image, inputs.union))
        latent = inversion.inverted.latents[-1]
        through_vae = decode(self.vae, latent)
        vae = pixels.psnr_inside(crop, through_vae, mask)
        if source.shape != latent.shape or torch.equal(source, latent):
            return through_vae, Reconstruction(vae=vae, inversion=vae)
        inverted = pixels.psnr_inside(crop, decode(self.vae, source), mask)
        return through_vae, Reconstruction(vae=vae, inversion=inverted)


__all__ = ["Inversion", "MAGEditOutput", "MAGEditPipeline"]
