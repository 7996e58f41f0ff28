"""Parameters of masks, the working crop and paste-back. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le
from typing_extensions import Doc

from magedit.config.sampling import SamplingParameters
from magedit.config.types import Fraction, MaskResampling, MaskSoftness


@dataclass(frozen=True, kw_only=True)
class MaskParameters(SamplingParameters):
    """The mask, the working crop around it, and blending with the source."""

    mask_resampling: Annotated[
        MaskResampling,
        Doc("Mask at latent and attention resolution: `coverage` keeps all touched cells, `nearest` as released."),
    ] = "coverage"
    mask_softness: Annotated[
        MaskSoftness,
        Doc(
            "Meaning of grey in a mask. `none`: values of 128 and more are edited. `strength`: how much a pixel may "
            "change. A pixel of strength s, 0..1, follows the source until the share s of the steps is left "
            "(Differential Diffusion, arXiv 2306.00950); pixels of strength 0 do not change, without a margin."
        ),
    ] = "none"
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
            "Width of the border around the mask in which the result fades into the input, as a fraction of the "
            "working "
            "crop's side (default: one latent cell of SD at 512 px, 1/64). Beyond it no pixel changes."
        ),
    ] = 1 / 64
    blend_fraction: Annotated[
        Fraction,
        Doc("Trailing fraction of the steps with the source's latent outside the dilated mask (paper: 15 of 50)."),
    ] = 0.3

    @property
    def blend_from(self) -> int:
        """First step index whose latent is blended with the source's outside the dilated mask."""
        return self.steps - round(self.blend_fraction * self.steps)
