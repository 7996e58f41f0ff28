"""From edited latents to pictures, measures and the output."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image, ImageChops
from torch import Tensor

from magedit.backbones.base import Backbone
from magedit.config import EditConfig, Region
from magedit.images import masks as pixels
from magedit.images.masks import Box
from magedit.images.transparency import restore
from magedit.measures.meter import Meter
from magedit.measures.report import EditMeasures, Ratios, Reconstruction, ResultMeasures, Stage
from magedit.methods.base import EditedLatent
from magedit.pipelines.inputs import Inputs, WorkingCrop
from magedit.pipelines.output import Inversion, MAGEditOutput


def finish(
    backbone: Backbone,
    inputs: Inputs,
    crop: WorkingCrop,
    inversion: Inversion,
    edited: tuple[EditedLatent, ...],
    regions: Sequence[Region],
    config: EditConfig,
    meter: Meter,
    *,
    reused: bool,
    output_type: str,
) -> MAGEditOutput:
    """The output of an edit: latents ``edited`` decoded, pasted into the picture and measured.

    ``reused``: the inversion was given; ``output_type`` ``latent``: nothing is decoded.
    """
    margin = pixels.paste_margin_px(crop.box, config.paste_margin) if inputs.strength is None else 0
    pictures: list[Image.Image] = []
    own: list[ResultMeasures] = []
    reproduced, reconstruction = None, None
    with meter.stage(Stage.DECODE, len(edited)):
        if output_type != "latent":
            reproduced, reconstruction = _reconstruct(backbone, crop, inversion, edited[0].source)
        for variant, each in zip(config.variants, edited, strict=True):
            difference, untouched, inside, flagged = 0, None, None, None
            if output_type != "latent":
                picture = backbone.decode(each.latent)
                flagged = backbone.is_objectionable(picture)
                if reproduced is not None:
                    inside = pixels.inside_difference(reproduced, picture, crop.mask)
                changing = changeable(inputs.union, each.mask, crop.box)
                pasted = pixels.paste_back(inputs.image, picture, changing, crop.box, margin, inputs.strength)
                difference = pixels.outside_difference(inputs.image, pasted, inputs.union, margin)
                pictures.append(restore(pasted, inputs.original))
                untouched = pixels.outside_sha256(pictures[-1], inputs.union, margin)
            own.append(result_measures(variant, each, difference, untouched, inside, flagged))
            meter.stepped()
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
            crop=crop.box,
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


def _reconstruct(
    backbone: Backbone, crop: WorkingCrop, inversion: Inversion, source: Tensor
) -> tuple[Image.Image, Reconstruction | None]:
    """The unedited crop as reconstructed by the model, with its error; ``source`` is the source branch's z_0."""
    latent = inversion.inverted.latents[-1]
    through_vae = backbone.decode(latent)
    vae = pixels.psnr_inside(crop.image, through_vae, crop.mask)
    if source.shape != latent.shape or torch.equal(source, latent):
        return through_vae, Reconstruction(vae=vae, inversion=vae)
    inverted = pixels.psnr_inside(crop.image, backbone.decode(source), crop.mask)
    return through_vae, Reconstruction(vae=vae, inversion=inverted)


def changeable(union: Image.Image, found: Tensor | None, box: Box) -> Image.Image:
    """The mask inside which the result may differ: the given ones' ``union``, cut to what a method ``found``, (h, w)
    at latent resolution of the working crop ``box``."""
    if found is None:
        return union
    cells = Image.fromarray((found.cpu().numpy() * 255).astype("uint8"), mode="L")
    side = box[2] - box[0]
    whole = Image.new("L", union.size)
    whole.paste(cells.resize((side, side), Image.Resampling.NEAREST), box[:2])
    cut = ImageChops.darker(union, whole)
    return cut if cut.getbbox() else union


def result_measures(
    config: EditConfig,
    edited: EditedLatent,
    outside_difference: int,
    outside_sha256: str | None,
    inside_difference: float | None,
    flagged: bool | None,
) -> ResultMeasures:
    """The report of one result, edited under ``config``."""
    chosen = edited.selected
    return ResultMeasures(
        method=config.method,
        seed=config.seed,
        strength=config.strength,
        before=mean_ratios([step.before for step in edited.trace]),
        after=mean_ratios([step.after for step in edited.trace]),
        updates=sum(step.iterations for step in edited.trace),
        outside_difference=outside_difference,
        outside_sha256=outside_sha256,
        inside_difference=inside_difference,
        selected=None if chosen is None else chosen.constraint or "unguided",
        likelihood_ratio=None if chosen is None else round(chosen.ratio, 5),
        nsfw_content_detected=flagged,
    )


def mean_ratios(steps: Sequence[Sequence[Ratios]]) -> tuple[Ratios, ...]:
    """Per region, the mean over steps."""
    return tuple(
        Ratios(
            token=sum(r.token for r in region) / len(region),
            spatial=sum(r.spatial for r in region) / len(region),
        )
        for region in zip(*steps, strict=True)
    )
