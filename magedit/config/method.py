"""Parameters that a single method reads. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le
from typing_extensions import Doc

from magedit.config.sampling import SamplingParameters
from magedit.config.types import Fraction, MaskSource


@dataclass(frozen=True, kw_only=True)
class OwnMaskParameters(SamplingParameters):
    """Method `diffedit`: the mask that it finds itself."""

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


@dataclass(frozen=True, kw_only=True)
class TuningParameters(SamplingParameters):
    """Method `sine`: how a copy of the model is tuned on the picture."""

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
