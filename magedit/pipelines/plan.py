"""From a checked request to the tasks of its results: masks, words, injection, step size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from magedit.backbones.base import AttentionSite, Backbone, Conditioning
from magedit.backbones.denoiser import Denoiser
from magedit.config import STRENGTH_POWER, EditConfig, MaskParameters, Region, StyleParameters
from magedit.edits.checkpoint import StepSizes
from magedit.guidance.constraints import WordTarget, resample_mask
from magedit.images.filling import fill
from magedit.images.masks import Box, crop_to
from magedit.inversion.base import Inverted
from magedit.methods.base import EditTask, OnStep
from magedit.methods.injection import FeatureInjection, Injection
from magedit.pipelines.inputs import Inputs
from magedit.pipelines.output import Inversion
from magedit.prompts.alignment import Encoded, align_tokens, counterparts, token_indices
from magedit.prompts.tagger import names_nothing


def edit_tasks(
    backbone: Backbone,
    denoiser: Denoiser,
    inputs: Inputs,
    source_prompt: str,
    target_prompt: str,
    regions: Sequence[Region],
    config: EditConfig,
    inversion: Inversion,
    *,
    encode: Callable[[str], Conditioning],
    generator: torch.Generator | None = None,
    on_step: OnStep | None = None,
) -> list[EditTask]:
    """The task of each of the edit's results; shared parts are made once."""
    sites, read, device = backbone.sites, backbone.guidance_sites, backbone.execution_device
    source, target = backbone.tokenize(source_prompt), backbone.tokenize(target_prompt)
    crops = [crop_to(mask, inversion.box, backbone.size) for mask in inputs.masks]
    region_masks = [torch.tensor(np.asarray(crop) > 0, dtype=torch.float32, device=device) for crop in crops]
    mask = resample_mask(torch.stack(region_masks).amax(0), backbone.latent_side, config.mask_resampling)
    words = word_targets(target_prompt, target, regions, region_masks, read, config)

    prompt = encode(target_prompt)
    guided = prompt.guided(config.guidance_scale)
    negative = encode(config.negative_prompt) if config.negative_prompt else None
    blended = blend_tokens(source_prompt, source, target, words)
    values = edit_values(inversion.inverted, source, target, prompt.hidden_states, config)
    strength = latent_strength(inputs.strength, inversion.box, backbone.size, mask)
    blend_mask = torch.nn.functional.max_pool2d(mask[None], 3, stride=1, padding=1)[0]
    both = (source_prompt, source), (target_prompt, target)
    filled = None
    if config.masked_content == "surroundings":
        pictures = (crop_to(each, inversion.box, backbone.size) for each in (inputs.image, inputs.union))
        filled = backbone.encode_image(fill(*pictures))

    def task(own: EditConfig, candidates: Sequence[EditConfig] = ()) -> EditTask:
        step_size, own = _step_size(backbone.step_sizes, own)
        return EditTask(
            denoiser=denoiser,
            inverted=inversion.inverted,
            config=own,
            source=encode(source_prompt),
            target=guided,
            negative=negative,
            injection=injection_between(backbone, *both, sites, words, own),
            guidance_sites=read,
            words=words,
            blend_tokens=blended,
            sites=sites,
            values=values,
            regions=len(regions),
            mask=mask,
            strength=strength,
            blend_mask=blend_mask,
            step_size=step_size * own.strength**STRENGTH_POWER,
            generator=generator or torch.Generator("cpu").manual_seed(own.seed),
            renoised=generator is not None or own.seed != 0,
            on_step=on_step,
            candidates=tuple(task(each) for each in candidates),
            filled=filled,
        )

    return [task(each, each.candidates if each.selects else ()) for each in config.variants]


def _step_size(own: StepSizes, config: EditConfig) -> tuple[float, EditConfig]:
    """The step size of guidance at full strength, and the configuration with `both` weighed for this checkpoint."""
    if config.constraint == "both":
        config = replace(config, spatial_weight=config.spatial_weight * own.spatial / own.token)
    return own.step_size(config), config


def word_targets(
    prompt: str,
    encoded: Encoded,
    regions: Sequence[Region],
    masks: Sequence[Tensor],
    sites: Sequence[AttentionSite],
    config: MaskParameters,
) -> tuple[WordTarget, ...]:
    """The words of all regions as token indices, each with its region's mask at the resolutions of ``sites``.

    Args:
        prompt: the target prompt, ``encoded`` its tokens.
        regions: checked regions (`magedit.prompts.checks.check_words`).
        masks: one per region, (side, side) of 0 and 1, at the working crop's size.
        sites: those that guidance reads.
        config: how masks are resampled.

    Raises:
        WordNotFound: a word is no whole word of the prompt.
    """
    targets = []
    for index, (region, mask) in enumerate(zip(regions, masks, strict=True)):
        spans = {word: token_indices(prompt, encoded, word) for word in (*region.words, *region.negative_words)}
        rivals = tuple(sorted(set(encoded.named).difference(*spans.values())))
        resampled = {site.side: resample_mask(mask, site.side, config.mask_resampling).flatten() for site in sites}
        for words, negative in ((region.words, False), (region.negative_words, True)):
            targets += [WordTarget(index, spans[word], resampled, region.weight, negative, rivals) for word in words]
    return tuple(targets)


def injection_between(
    backbone: Backbone,
    source: tuple[str, Encoded],
    target: tuple[str, Encoded],
    sites: tuple[AttentionSite, ...],
    words: Sequence[WordTarget],
    config: EditConfig,
) -> Injection | FeatureInjection:
    """The edit's injection; arguments as `Injection.between`, ``words`` are the guided ones.

    Raises:
        WordNotFound, CheckpointError: see `Injection.between`, `FeatureInjection.of`.
    """
    if config.on_pnp:
        return FeatureInjection.of(backbone, config)
    keep_own = config.guided_steps > 0 and not config.inject_edit_words
    own = {token for word in words for token in word.tokens} if keep_own else set()
    return Injection.between(source, target, backbone.text_columns, sites, config, backbone.execution_device, own=own)


def blend_tokens(
    source_prompt: str, source: Encoded, target: Encoded, words: Sequence[WordTarget]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The token indices of w in the source and of w* in the target prompt whose maps LocalBlend unites, ascending.

    w* are the edit words, negative words aside, and w what stands in their place (P2P 2208.01626, local editing: the
    original and the new word). Where the target only leaves words out there is no w*, and w are the words that it lacks
    without those that name nothing (`magedit.prompts.tagger.names_nothing`): the words of a removal name what fills
    the place, which is mostly where nothing is to change.
    """
    alignment = align_tokens(source, target, len(target.ids))
    kept = set(alignment.mapper)
    lost = [n for n in source.named if n not in kept]
    if lost and min(kept) >= 0:
        things = tuple(n for n in lost if not names_nothing(source_prompt[slice(*source.offsets[n])].strip()))
        if things:
            return things, ()
    edited = tuple(sorted({token for word in words if not word.negative for token in word.tokens}))
    return counterparts(alignment, edited), edited


def edit_values(
    inverted: Inverted, source: Encoded, target: Encoded, states: Tensor, config: StyleParameters
) -> tuple[Tensor | None, ...]:
    """The source of the values of the edit's cross attention at each step; None: the target prompt's own ``states``.

    In the first steps the words that both prompts share take the learned values of the source, new words their own
    embedding's (StyleDiffusion, arXiv 2303.15649, 3.3).
    """
    if not inverted.values:
        return (None,) * config.steps
    alignment = align_tokens(source, target, states.shape[1])
    shared = torch.tensor(alignment.alpha, device=states.device)[None, :, None]
    taken = [max(k, 0) for k in alignment.mapper]
    until = int(config.style_replace * config.steps)
    return tuple(
        shared * values[:, taken] + (1 - shared) * states if i < until else None
        for i, values in enumerate(inverted.values)
    )


def latent_strength(strength: Image.Image | None, box: Box, size: int, mask: Tensor) -> Tensor | None:
    """How much each cell of the working crop may change, as ``mask`` (h, w): the mean strength, 0..1, of those of its
    pixels that may change at all."""
    if strength is None:
        return None
    # As a picture: a mask's crop would make every value above 0 full.
    crop = crop_to(strength.convert("RGB"), box, size).getchannel("R")
    levels = torch.tensor(np.asarray(crop) / 255, dtype=torch.float32, device=mask.device)
    height, width = mask.shape
    levels, selected = torch.nn.functional.adaptive_avg_pool2d(torch.stack([levels, levels.sign()]), (height, width))
    return torch.where(selected > 0, levels / selected, 1.0)
