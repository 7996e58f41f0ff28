"""Parameters of single inversions. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp
from typing import Annotated

from annotated_types import Ge, Le
from typing_extensions import Doc

from magedit.config.sampling import SamplingParameters
from magedit.config.types import Fraction, ProximalNorm


@dataclass(frozen=True, kw_only=True)
class NullTextParameters(SamplingParameters):
    """Inversion `null-text`: how the unconditional embedding is optimised."""

    null_text_iterations: Annotated[
        int, Ge(1), Le(100), Doc("Maximum number of Adam updates of the unconditional embedding per step (NTI: 10).")
    ] = 10
    null_text_learning_rate: Annotated[
        float, Ge(0.0), Le(1.0), Doc("Adam's learning rate, falling by 1 % of it per step (NTI: 1e-2).")
    ] = 1e-2
    null_text_tolerance: Annotated[
        float, Ge(0.0), Le(1.0), Doc("Stop a step's updates below this MSE + 2e-5 x step (NTI: 1e-5).")
    ] = 1e-5


@dataclass(frozen=True, kw_only=True)
class ProximalParameters(SamplingParameters):
    """Inversion `proximal`: thresholding of the guidance."""

    proximal_norm: Annotated[
        ProximalNorm,
        Doc(
            "`proximal`: `l0` (hard threshold) drops values below the threshold, `l1` (soft threshold) also "
            "subtracts it from the rest."
        ),
    ] = "l0"
    proximal_quantile: Annotated[
        Fraction, Doc("Quantile of the guidance below which `proximal` drops values (arXiv 2306.05414: 0.7).")
    ] = 0.7
    proximal_reconstruction: Annotated[
        Fraction,
        Doc(
            "`proximal`: how far the late steps pull towards the source where guidance was dropped (published program: "
            "0.1); 0: not at all."
        ),
    ] = 0.0


@dataclass(frozen=True, kw_only=True)
class StyleParameters(SamplingParameters):
    """Inversion `style`: how the values of cross attention are learned."""

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

    def style_updates(self, step: int) -> int:
        """Updates of StyleDiffusion's network at ``step``."""
        return ceil(self.style_iterations * exp(-0.1 * step))
