"""Parameters of single methods. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le
from typing_extensions import Doc

from magedit.config.sampling import SamplingParameters
from magedit.config.types import Fraction, MaskSource


@dataclass(frozen=True, kw_only=True)
class OwnMaskParameters(SamplingParameters):
    """Method `diffedit`: its computed mask."""

    mask_source: Annotated[
        MaskSource,
        Doc(
            "`own`, with `diffedit`: compute the mask from the difference of the two prompts' noise estimates, "
            "inside the given mask. `given`: use the given mask."
        ),
    ] = "given"
    mask_maps: Annotated[
        int,
        Ge(1),
        Le(100),
        Doc("Number of noise samples over which DiffEdit's own mask is averaged (arXiv 2210.11427: 10)."),
    ] = 10
    mask_ratio: Annotated[
        float,
        Ge(0.1),
        Le(20.0),
        Doc(
            "Contrast at which DiffEdit's own mask reaches 1, in multiples of the picture's mean (published program: "
            "3); values from 0.5 on belong to the mask."
        ),
    ] = 3.0


@dataclass(frozen=True, kw_only=True)
class TuningParameters(SamplingParameters):
    """Method `sine`: tuning of a copy of the model on the picture."""

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

    @property
    def tuned_steps(self) -> int:
        """Number of leading steps with SINE's tuned model."""
        return int(self.tune_fraction * self.steps)
