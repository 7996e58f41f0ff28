"""Parameters of attention-adjusted guidance (MAG-Edit): constraint, strength, guided steps. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Self

from annotated_types import Ge, Le, MaxLen
from typing_extensions import Doc

from magedit.config.sampling import SamplingParameters
from magedit.config.types import ConstraintName, Denominator, Fraction, Selection

STRENGTH_POWER = 1.5
"""Power of `strength` in the step size and in the number of guidance updates. Measured on the demo's edits: the token
ratio rises about equally with each tenfold increase of the total push, mostly below a tenth of the paper's."""


@dataclass(frozen=True, kw_only=True)
class GuidanceParameters(SamplingParameters):
    """Guidance of the latent; method `mag-edit`."""

    strength: Annotated[
        Fraction,
        Doc(
            "Strength of guidance: multiplies `guidance_step_size` and `max_iterations` by strength^1.5 each, so "
            "that the total push grows with its cube; the words' ratio grows with the logarithm of the push. 0: the "
            "unguided edit."
        ),
    ] = 1.0
    sweep: Annotated[
        tuple[Fraction, ...],
        MaxLen(64),
        Doc("Strengths of one edit, each its own result (for each of the `n` seeds), in place of `strength`."),
    ] = ()
    constraint: Annotated[
        ConstraintName,
        Doc(
            "The objective that guidance maximises inside the mask: `token` ratio, `spatial` ratio, or `both` (paper "
            "4.2)."
        ),
    ] = "token"
    denominator: Annotated[
        Denominator | None,
        Doc(
            "With joint attention, the denominator of a word's share: `text`, the attention to the prompt's tokens "
            "(arXiv 2507.01496), or `joint`, all attention of the position, including the picture. Empty: the "
            "checkpoint's own, else `text`."
        ),
    ] = None
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
            "equal area outside, where it is strongest: a word already in place needs no guidance, one that wavers "
            "between two things does; 0: never (paper)."
        ),
    ] = 0.0
    guided_fraction: Annotated[Fraction, Doc("Leading fraction of the steps that is guided (paper: 25 of 50).")] = 0.5
    guided_from: Annotated[
        Fraction,
        Doc(
            "Leading fraction of the steps without guidance (paper: 0): at the highest noise, the words' maps do not "
            "locate things yet."
        ),
    ] = 0.0
    selection: Annotated[
        Selection,
        Doc(
            "`likelihood`: sample without guidance, and keep that result if the model recognises the target prompt "
            "inside the mask; otherwise sample with guidance by each ratio too, and keep the likeliest of the results "
            "in which it is recognised (diffusion classifier, arXiv 2303.16203). `none`: guide at once (paper)."
        ),
    ] = "none"
    token_weight: Annotated[float, Ge(0.0), Le(100.0), Doc("Weight of the token-ratio loss with `both`.")] = 1.0
    spatial_weight: Annotated[float, Ge(0.0), Le(100.0), Doc("Weight of the spatial-ratio loss with `both`.")] = 1.0
    spatial_lambda: Annotated[float, Ge(0.0), Le(100.0), Doc("lambda of L_SR = lambda (1 - a) - a (paper 4.2: 3).")] = (
        3.0
    )
    inject_edit_words: Annotated[
        bool,
        Doc(
            "Inject the source's maps into the edit words as well. An injected map is constant, so that guidance "
            "cannot move words that both prompts share; if false, the edit words keep their own maps while guided."
        ),
    ] = False

    @property
    def measured_steps(self) -> int:
        """Number of leading steps whose ratios are measured: the guided window, also for methods without guidance;
        counted from the first step that is taken."""
        return int(self.guided_fraction * (self.steps - self.skipped_steps))

    @property
    def guided_from_step(self) -> int:
        """Number of steps, of those that are taken, before guidance may begin."""
        return int(self.guided_from * self.steps)

    @property
    def guided_steps(self) -> int:
        """Number of guided steps, after `guided_from_step` others; 0 for methods or strengths without guidance."""
        if self.method != "mag-edit" or self.strength == 0 or self.max_iterations == 0:
            return 0
        return max(0, self.measured_steps - self.guided_from_step)

    @property
    def selects(self) -> bool:
        """Whether a result is chosen among results with and without guidance."""
        return self.selection == "likelihood" and self.guided_steps > 0

    @property
    def candidates(self) -> tuple[Self, ...]:
        """The configurations among whose results `selection` chooses: without guidance, with it, by the other ratio."""
        other: ConstraintName = "spatial" if self.constraint == "token" else "token"
        return replace(self, strength=0.0), self, replace(self, constraint=other)

    @property
    def iterations(self) -> int:
        """Guidance updates per guided step after `strength`."""
        return max(1, round(self.max_iterations * self.strength**STRENGTH_POWER)) if self.guided_steps else 0
