"""Sampling parameters of an edit: method, inversion, steps, guidance scale, noise. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

from annotated_types import Ge, Le, MaxLen
from typing_extensions import Doc

from magedit.config.loras import LORAS_MAX, LoraSpec
from magedit.config.parameters import Parameters
from magedit.config.types import Fraction, InversionName, MaskedContent, MethodName

SEED_MAX = 2**63 - 1
"""Largest seed that both torch and JSON parsers with 64-bit integers accept."""

NEGATIVE_PROMPT_MAX = 1000
"""Longest negative prompt, in characters."""

SKIPPED: Mapping[MethodName, float] = MappingProxyType(
    {"blended-latent": 0.25, "diffedit": 0.5, "instruct-edit": 0.5, "flow-edit": 0.34}
)
"""Default `skip_fraction` by method, from the papers."""
SKIPPED_FOR_SURROUNDINGS = 0.5
"""Default `skip_fraction` of an edit that begins with the surroundings."""


@dataclass(frozen=True, kw_only=True)
class SamplingParameters(Parameters):
    """Sampling parameters, read by every method."""

    method: Annotated[
        MethodName,
        Doc("The editing method; `GET /v1/methods` lists them with their parameters and cost."),
    ] = "mag-edit"
    inversion: Annotated[
        InversionName,
        Doc("The inversion of the image into a latent trajectory, for methods that invert."),
    ] = "direct"
    steps: Annotated[int, Ge(2), Le(250), Doc("Number of DDIM steps T of inversion and sampling.")] = 50
    guidance_scale: Annotated[float, Ge(1.0), Le(30.0), Doc("Classifier-free guidance scale; 1 turns it off.")] = 7.5
    source_guidance_scale: Annotated[
        float,
        Ge(1.0),
        Le(30.0),
        Doc("`flow-edit`: `guidance_scale` of the source prompt (arXiv 2412.08629: SD3 3.5, FLUX 1.5)."),
    ] = 3.5
    image_guidance_scale: Annotated[
        float,
        Ge(1.0),
        Le(10.0),
        Doc("`instruct-pix2pix`, `magicbrush`: image guidance scale (arXiv 2211.09800: 1.5)."),
    ] = 1.5
    negative_prompt: Annotated[
        str,
        MaxLen(NEGATIVE_PROMPT_MAX),
        Doc(
            "What to steer the edit away from: prompt of the unconditional half in the edit branch, in place of the "
            "inversion's."
        ),
    ] = ""
    skip_fraction: Annotated[
        Fraction | None,
        Doc(
            "Leading fraction of the steps to skip: the edit starts from the source at that noise level. Empty: the "
            "method's default (`blended-latent` 0.25, `diffedit` and `instruct-edit` 0.5, `flow-edit` 0.34); 0.5 with "
            "`masked_content` `surroundings`."
        ),
    ] = None
    masked_content: Annotated[
        MaskedContent,
        Doc(
            "What the masked area starts from: the `source`, or its `surroundings`, continued smoothly into it, which "
            "leaves nothing of what was there."
        ),
    ] = "source"
    lora: Annotated[
        tuple[LoraSpec, ...],
        MaxLen(LORAS_MAX),
        Doc(
            "LoRA of the model with its weight, `name:0.8` (default weight 1), for this edit and its inversion. "
            "`GET /v1/models` lists the names."
        ),
    ] = ()
    clip_skip: Annotated[
        int,
        Ge(0),
        Le(11),
        Doc(
            "Number of last layers of CLIP's text encoder to skip, counted as in diffusers (1 is called clip skip 2 "
            "elsewhere), for this edit and its inversion."
        ),
    ] = 0
    eta: Annotated[
        Fraction,
        Doc("Share of fresh noise in the edit's sampling steps (DDIM, arXiv 2010.02502, eq. 16); 0 is deterministic."),
    ] = 0.0
    seed: Annotated[
        int,
        Ge(0),
        Le(SEED_MAX),
        Doc(
            "Seed of the fresh noise. 0: methods that invert start from the inverted noise, as published; otherwise "
            "the share `variation` of the noise inside the mask is drawn from the seed. `blended-latent` always draws."
        ),
    ] = 0
    variation: Annotated[
        Fraction,
        Doc(
            "Share v of fresh noise inside the mask at the start of an edit, if `seed` is not 0: the noise of the "
            "inverted latent becomes sqrt(1 - v^2) noise + v fresh, at the same level."
        ),
    ] = 1.0
    n: Annotated[
        int,
        Ge(1),
        Le(64),
        Doc("Number of results of one edit, with the seeds `seed`, `seed` + 1, ...; they share one inversion."),
    ] = 1

    @property
    def skipped_steps(self) -> int:
        """Number of skipped leading steps; at least one step remains."""
        return min(int(self.skipped_fraction * self.steps), self.steps - 1)

    @property
    def skipped_fraction(self) -> float:
        """`skip_fraction`, or its default."""
        if self.skip_fraction is not None:
            return self.skip_fraction
        if self.masked_content == "surroundings":
            return SKIPPED_FOR_SURROUNDINGS
        return SKIPPED.get(self.method, 0.0)
