"""Parameters of an edit, each defined once: type, bounds, unit, default and source.

These frozen dataclasses are the single definition. The library takes them as they are; the job schema, the HTTP
form, the CLI and OpenAPI read bounds, defaults and descriptions from their fields. Free of torch.

Sources: *paper* is MAG-Edit (arXiv 2312.11396), *P2P* Prompt-to-Prompt (arXiv 2208.01626), *NTI* null-text
inversion (arXiv 2211.09794), *NPI* negative-prompt inversion (arXiv 2305.16807), *direct* Direct Inversion
(arXiv 2310.01506). What each method is and which parameters it reads: `magedit.methods.registry`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Annotated, Any, Self

from annotated_types import Ge, Le, MaxLen
from typing_extensions import Doc

from magedit.config.loras import LORAS_MAX, LoraSpec
from magedit.config.parameters import parameters
from magedit.config.types import (
    RENAMED,
    ConstraintName,
    Fraction,
    InjectionName,
    InversionName,
    MaskResampling,
    MaskSoftness,
    MaskSource,
    MethodName,
    PresetName,
    ProximalNorm,
    Word,
    refuse_renamed,
)
from magedit.config.windows import Windows

SEED_MAX = 2**63 - 1
"""Largest seed: what torch and JSON readers with 64-bit integers both take."""

NEGATIVE_PROMPT_MAX = 1000
"""Longest negative prompt, in characters."""

STRENGTH_POWER = 1.5
"""Power of `strength` in the step size and in the number of guidance updates. Measured on the demo's edits: the token
ratio rises by like amounts with each tenfold of the total push, most of it below a tenth of the paper's."""

PRESETS: Mapping[PresetName, Mapping[str, Any]] = MappingProxyType(
    {
        "exact": {
            "inversion": "null-text",
            "gradient_tolerance": 0.0,
            "stop_margin": 0.0,
            "mask_resampling": "nearest",
            "inject_edit_words": True,
        },
        "balanced": {},
        # The updates per step grow as the steps get fewer, so that guidance pushes as far in all: 25 x 15 = 10 x 38.
        "fast": {"steps": 20, "max_iterations": 38, "gradient_tolerance": 1.0},
        "turbo": {
            "inversion": "virtual",
            "steps": 8,
            "guidance_scale": 3.0,
            "max_iterations": 95,
            "gradient_tolerance": 1.0,
        },
    }
)
"""What each preset sets; everything else is the default of `EditConfig`, so that ``balanced`` is these defaults."""

PRESET_DOC = (
    "A choice of parameters; those that are given win over it. `exact`: the released program's algorithm (null-text "
    "inversion, one gradient per guidance update, nothing stopped early). `balanced`: direct inversion, one gradient "
    "for several updates where it hardly changes. `fast`: `balanced` in 20 steps. `turbo`: 8 steps without inversion; "
    "on a checkpoint that was distilled for few steps, its own."
)

GOVERNED = frozenset(name for preset in PRESETS.values() for name in preset)
"""The parameters whose default depends on the preset."""


@parameters
@dataclass(frozen=True, kw_only=True)
class EditConfig(Windows):
    """How to edit. A default is the paper's or the named source's, where its description gives no other; step windows
    scale with ``steps``. `EditConfig.preset` gives other starting points. What is not ``given`` takes, in an edit, the
    defaults of the edit's kind (`magedit.prompts.kinds`), as in the service."""

    def __new__(cls, **given: object) -> Self:
        refuse_renamed("EditConfig", given, RENAMED)
        return super().__new__(cls)

    method: Annotated[
        MethodName,
        Doc("The editing method; `GET /v1/methods` tells what each is, reads and costs."),
    ] = "mag-edit"
    inversion: Annotated[
        InversionName,
        Doc("How the image becomes a latent trajectory, for methods that invert."),
    ] = "direct"
    constraint: Annotated[
        ConstraintName,
        Doc("What guidance maximises inside the mask: `token` ratio, `spatial` ratio, or `both` (paper 4.2)."),
    ] = "token"
    negative_prompt: Annotated[
        str,
        MaxLen(NEGATIVE_PROMPT_MAX),
        Doc(
            "What the edit is steered away from: the unconditional half's prompt in the edit branch, in place of the "
            "inversion's."
        ),
    ] = ""
    steps: Annotated[int, Ge(2), Le(250), Doc("DDIM steps T of inversion and of sampling.")] = 50
    guidance_scale: Annotated[float, Ge(1.0), Le(30.0), Doc("Classifier-free guidance scale; 1 turns it off.")] = 7.5
    source_guidance_scale: Annotated[
        float,
        Ge(1.0),
        Le(30.0),
        Doc("`flow-edit`: the same for the source prompt's half of each step (arXiv 2412.08629: SD3 3.5, FLUX 1.5)."),
    ] = 3.5
    strength: Annotated[
        Fraction,
        Doc(
            "How far guidance goes: multiplies `guidance_step_size` and `max_iterations` by its power 1.5 each, so "
            "that the total push grows with its cube; the words' ratio grows with the logarithm of the push. 0: the "
            "unguided edit."
        ),
    ] = 1.0
    guidance_step_size: Annotated[
        float | None,
        Ge(0.0),
        Le(10_000.0),
        Doc("Step size of one guidance update, before sigma_t. Empty: the checkpoint's own, else 2.5 (paper)."),
    ] = None
    max_iterations: Annotated[
        int, Ge(0), Le(100), Doc("Guidance updates of the latent per guided step (paper: 15).")
    ] = 15
    gradient_tolerance: Annotated[
        float,
        Ge(0.0),
        Le(10.0),
        Doc(
            "Relative change of the gradient up to which one gradient serves several guidance updates in a row; 0: "
            "one gradient per update (paper)."
        ),
    ] = 0.5
    stop_margin: Annotated[
        float,
        Ge(0.0),
        Le(100.0),
        Doc(
            "End a step's guidance once the edit words have this many times the token ratio of the strongest other "
            "word inside their mask; 0: never (paper)."
        ),
    ] = 1.0
    stop_contrast: Annotated[
        float,
        Ge(0.0),
        Le(100.0),
        Doc(
            "End a step's guidance once the edit words' attention inside their mask is this many times that of an "
            "equal area outside, where it is strongest: a word that is there already needs no guidance, one that "
            "wavers between two things does; 0: never (paper)."
        ),
    ] = 0.0
    guided_fraction: Annotated[Fraction, Doc("Leading fraction of the steps that is guided (paper: 25 of 50).")] = 0.5
    guided_from: Annotated[
        Fraction,
        Doc(
            "Leading fraction of the steps that guidance leaves out (paper: 0): at the highest noise the words' maps "
            "do not tell yet where a thing is."
        ),
    ] = 0.0
    token_weight: Annotated[float, Ge(0.0), Le(100.0), Doc("Weight of the token-ratio loss with `both`.")] = 1.0
    spatial_weight: Annotated[float, Ge(0.0), Le(100.0), Doc("Weight of the spatial-ratio loss with `both`.")] = 1.0
    spatial_lambda: Annotated[float, Ge(0.0), Le(100.0), Doc("lambda of L_SR = lambda (1 - a) - a (paper 4.2: 3).")] = (
        3.0
    )
    injection: Annotated[
        InjectionName,
        Doc(
            "What the edit takes over from the source. P2P cross attention: `refine` aligns the prompts, `replace` "
            "swaps words one for one. `pnp`, with `mag-edit`: features and self attention as method `pnp`."
        ),
    ] = "refine"
    cross_replace: Annotated[
        Fraction, Doc("Leading fraction of the steps with injected cross attention (P2P: 0.8).")
    ] = 0.8
    inject_edit_words: Annotated[
        bool,
        Doc(
            "Inject the source's maps into the edit words as well. An injected map is a constant, so that guidance "
            "cannot move words that both prompts share; without it the edit words keep their own maps while guided."
        ),
    ] = False
    cross_replace_words: Annotated[
        Mapping[Word, Fraction],
        MaxLen(16),
        Doc("`cross_replace` for single words of the target prompt: JSON object word -> fraction."),
    ] = field(default_factory=dict)
    self_replace: Annotated[Fraction, Doc("Leading fraction of the steps with injected self attention (P2P: 0.5).")] = (
        0.5
    )
    self_replace_max_positions: Annotated[
        int,
        Ge(0),
        Le(16384),
        Doc("Largest self-attention layer that is injected, in positions (P2P: 32 x 32)."),
    ] = 1024
    equalizer: Annotated[
        Mapping[Word, Annotated[float, Ge(-10.0), Le(10.0)]],
        MaxLen(16),
        Doc("P2P attention re-weighting: JSON object word of the target prompt -> factor of its maps."),
    ] = field(default_factory=dict)
    feature_replace: Annotated[
        Fraction, Doc("Leading fraction of the steps with injected features, with PnP (arXiv 2211.12572: 0.8).")
    ] = 0.8
    local_blend: Annotated[
        Fraction | None,
        Doc(
            "P2P's LocalBlend: only where the edit words' maps exceed this share of their maximum does the edit differ "
            "from the source (P2P: 0.3). Empty: everywhere."
        ),
    ] = None
    skip_fraction: Annotated[
        Fraction | None,
        Doc(
            "Leading fraction of the steps that is left out: the edit starts from the source at that noise level. "
            "Empty: the method's own (`blended-latent` 0.25, `diffedit` 0.5, `flow-edit` 0.34)."
        ),
    ] = None
    mask_source: Annotated[
        MaskSource,
        Doc(
            "`own`, with `diffedit`: the edit's mask is where the two prompts' noise estimates differ, inside the "
            "given mask. `given`: the given mask itself."
        ),
    ] = "given"
    mask_maps: Annotated[
        int, Ge(1), Le(100), Doc("Noises over which DiffEdit's own mask is averaged (arXiv 2210.11427: 10).")
    ] = 10
    mask_ratio: Annotated[
        float,
        Ge(0.1),
        Le(20.0),
        Doc(
            "Contrast at which DiffEdit's own mask is 1, in means over the picture (published program: 3); it counts "
            "as mask from 0.5 on."
        ),
    ] = 3.0
    blend_fraction: Annotated[
        Fraction,
        Doc("Trailing fraction of the steps with the source's latent outside the dilated mask (paper: 15 of 50)."),
    ] = 0.3
    mask_resampling: Annotated[
        MaskResampling,
        Doc("Mask at latent and attention resolution: `coverage` keeps all touched cells, `nearest` as released."),
    ] = "coverage"
    mask_softness: Annotated[
        MaskSoftness,
        Doc(
            "What grey in a mask means. `none`: 128 and more is edited. `strength`: how much a pixel may change. One "
            "of strength s, 0..1, follows the source until the share s of the steps is left (Differential Diffusion, "
            "arXiv 2306.00950); pixels of strength 0 stay as they are, without a margin."
        ),
    ] = "none"
    lora: Annotated[
        tuple[LoraSpec, ...],
        MaxLen(LORAS_MAX),
        Doc(
            "LoRA of the model with its weight, `name:0.8`; without a weight 1. For this edit and its inversion. "
            "`GET /v1/models` lists the names."
        ),
    ] = ()
    null_text_iterations: Annotated[
        int, Ge(1), Le(100), Doc("Adam updates of the unconditional embedding per step, at most (NTI: 10).")
    ] = 10
    null_text_learning_rate: Annotated[
        float, Ge(0.0), Le(1.0), Doc("Adam's learning rate, falling by 1 % of it per step (NTI: 1e-2).")
    ] = 1e-2
    null_text_tolerance: Annotated[
        float, Ge(0.0), Le(1.0), Doc("Stop a step's updates below this MSE + 2e-5 x step (NTI: 1e-5).")
    ] = 1e-5
    proximal_norm: Annotated[
        ProximalNorm,
        Doc("`proximal`: `l0` drops what is below the threshold, `l1` takes the threshold off the rest as well."),
    ] = "l0"
    proximal_quantile: Annotated[
        Fraction, Doc("Share of the guidance that `proximal` drops, the smallest first (arXiv 2306.05414: 0.7).")
    ] = 0.7
    proximal_reconstruction: Annotated[
        Fraction,
        Doc(
            "`proximal`: how far the late steps pull towards the source where guidance was dropped (published program: "
            "0.1); 0: not at all."
        ),
    ] = 0.0
    style_iterations: Annotated[
        int,
        Ge(1),
        Le(200),
        Doc("`style`: Adam updates of the first step; of step i they are exp(-i / 10) of it (published program)."),
    ] = 10
    style_replace: Annotated[
        Fraction,
        Doc(
            "`style`: leading fraction of the steps whose shared words take the learned values (arXiv 2303.15649: 0.5)."
        ),
    ] = 0.5
    tune_steps: Annotated[
        int, Ge(1), Le(20_000), Doc("`sine`: training steps of the model's copy (published program: thousands).")
    ] = 400
    tune_learning_rate: Annotated[
        float, Ge(0.0), Le(1.0), Doc("`sine`: Adam's learning rate (published program: 1e-6, with more steps).")
    ] = 1e-5
    tune_weight: Annotated[
        Fraction, Doc("`sine`: share of the tuned model in the conditional noise (published program: 0.6).")
    ] = 0.6
    tune_fraction: Annotated[
        Fraction, Doc("`sine`: leading fraction of the steps with the tuned model (published program: 0.5).")
    ] = 0.5
    image_guidance_scale: Annotated[
        float,
        Ge(1.0),
        Le(10.0),
        Doc("`instruct-pix2pix`, `magicbrush`: guidance by the picture (2211.09800: 1.5)."),
    ] = 1.5
    crop_context: Annotated[
        float,
        Ge(0.0),
        Le(10.0),
        Doc(
            "Context around the mask's bounding box in the square working crop, as a fraction of the box's longer side."
        ),
    ] = 0.5
    paste_margin: Annotated[
        float,
        Ge(0.0),
        Le(0.25),
        Doc(
            "Width of the edge in which the result fades into the input around the mask, as a fraction of the working "
            "crop's side (default: one latent cell of SD at 512 px, 1/64). Beyond it no pixel changes."
        ),
    ] = 1 / 64
    eta: Annotated[
        Fraction,
        Doc("Share of fresh noise in the edit's sampling steps (DDIM, arXiv 2010.02502, eq. 16); 0 is deterministic."),
    ] = 0.0
    seed: Annotated[
        int,
        Ge(0),
        Le(SEED_MAX),
        Doc(
            "Seed of the fresh noise. 0: methods that invert begin with the noise that inversion found, as published; "
            "any other: inside the mask `variation` of it is drawn from the seed. `blended-latent` always draws."
        ),
    ] = 0
    variation: Annotated[
        Fraction,
        Doc(
            "Share v of fresh noise with which an edit begins inside the mask, where `seed` is not 0: the noise of the "
            "inverted latent becomes sqrt(1 - v^2) noise + v fresh, at the same level."
        ),
    ] = 1.0
    n: Annotated[
        int,
        Ge(1),
        Le(64),
        Doc("Results of one edit, with the seeds `seed`, `seed` + 1, ...; they share one inversion."),
    ] = 1
    sweep: Annotated[
        tuple[Fraction, ...],
        MaxLen(64),
        Doc("Strengths of one edit, each its own result (for each of the `n` seeds), in place of `strength`."),
    ] = ()

    @classmethod
    def preset(cls, name: PresetName, **given: Any) -> Self:
        """The configuration of preset ``name``; parameters that are ``given`` win over it."""
        config = cls(**{**PRESETS[name], **given})
        # `exact` is the released program's algorithm, whatever kind of edit it is: nothing is open.
        return replace(config) if name == "exact" else config

    @property
    def variants(self) -> tuple[Self, ...]:
        """The configuration of each result, in order: for each seed every strength; all else is the same."""
        return tuple(
            replace(self, seed=(self.seed + k) % (SEED_MAX + 1), strength=strength, n=1, sweep=())
            for k in range(self.n)
            for strength in self.sweep or (self.strength,)
        )

    @property
    def results(self) -> int:
        """Number of results."""
        return self.n * max(1, len(self.sweep))

    @property
    def is_guided(self) -> bool:
        """Whether any result is guided."""
        return any(each.guided_steps > 0 for each in self.variants)

    @property
    def guided_steps(self) -> int:
        """Number of steps that are guided, from `guided_from_step` on (0 for methods or strengths without guidance)."""
        if self.method != "mag-edit" or self.strength == 0 or self.max_iterations == 0:
            return 0
        return max(0, self.measured_steps - self.guided_from_step)

    @property
    def iterations(self) -> int:
        """Guidance updates per guided step after `strength`."""
        return max(1, round(self.max_iterations * self.strength**STRENGTH_POWER)) if self.guided_steps else 0
