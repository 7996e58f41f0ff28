"""One guided update of the noise latent, and how many of them one gradient serves (paper: arXiv 2312.11396, 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from magedit.errors import EditDiverged
from magedit.report import Ratios

REJECTED = 2.0
"""A stride is taken back if the gradient changed by this many tolerances over it (usual factors are 1.5 to 4)."""


@dataclass(frozen=True)
class Guided:
    """A guided latent, the loss at each look, the ratios at the first one, the updates made, and the stride to begin
    the next step with."""

    latent: Tensor
    losses: tuple[float, ...]
    before: tuple[Ratios, ...]
    updates: int
    stride: int


@dataclass(frozen=True)
class _Point:
    """Where a stride began."""

    latent: Tensor
    gradient: Tensor
    done: int


def guide(
    latent: Tensor,
    *,
    attend: Callable[[Tensor], Mapping[str, Tensor]],
    loss: Callable[[Mapping[str, Tensor]], Tensor],
    ratios: Callable[[Mapping[str, Tensor]], tuple[Ratios, ...]],
    won: Callable[[Mapping[str, Tensor]], bool] | None = None,
    iterations: int,
    tolerance: float = 0.0,
    stride: int = 1,
    scale: float,
    sigma: float,
    mask: Tensor,
    on_update: Callable[[], None],
) -> Guided:
    """Optimise the noise latent so that the edit words win (paper 4.1, algorithm 1).

    ``iterations`` times: z* <- z* - M * sigma_t * d(scale * L)/dz*. These are Euler steps of length 1 along the
    gradient flow dz*/ds = -M sigma_t d(scale * L)/dz*. With a ``tolerance`` they are taken several at a time, as an
    integrator with step-size control takes them (Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I,
    II.4): the next stride is the one over which the gradient would change by ``tolerance`` if it goes on changing as
    it does, at most half of the iterations, so that every step looks at the gradient twice at least; a stride over
    which it changed by more than `REJECTED` tolerances is taken back and made shorter. Tolerance 0 is the paper's
    algorithm.

    Args:
        latent: z*_t, (1, C, h, w), fp32.
        attend: latent -> maps of the guidance layers, with gradient.
        loss: maps -> L, a scalar.
        ratios: maps -> ratios per region.
        won: maps -> whether nothing is left to gain; ends the step before its next gradient. None: never.
        iterations: number of updates.
        tolerance: relative change of the gradient (norm over M) that one stride may span.
        stride: updates that the first gradient serves, if there is a tolerance.
        scale: step size; sigma: noise-to-signal ratio at this timestep.
        mask: M at latent resolution, (h, w) of 0 and 1.
        on_update: called after each gradient; may raise to cancel.

    Raises:
        EditDiverged: the latent is no longer finite.
    """
    losses: list[float] = []
    before: tuple[Ratios, ...] = ()
    longest = max(1, (iterations + 1) // 2)
    stride = min(stride, longest) if tolerance else 1
    done, last = 0, None
    while done < iterations:
        with torch.enable_grad():
            variable = latent.detach().requires_grad_(True)
            maps = attend(variable)
            value = scale * loss(maps)
        losses.append(float(value.detach()))
        if not before or won is not None:
            seen = {name: m.detach() for name, m in maps.items()}
            before = before or ratios(seen)
            if won is not None and won(seen):
                break
        if not value.requires_grad:
            # Every map is injected whole (`inject_edit_words` where the target adds no word): no latent moves it.
            break
        (gradient,) = torch.autograd.grad(value, variable)
        on_update()
        if tolerance and last is not None:
            change = _change(last.gradient, gradient, mask)
            fitting = max(1, int(min(longest, stride * tolerance / max(change, tolerance / longest))))
            if stride > 1 and not change <= REJECTED * tolerance:
                latent, gradient, done = last.latent, last.gradient, last.done
            stride = fitting
        last = _Point(latent, gradient, done)
        updates = min(stride, iterations - done)
        latent = latent - updates * mask * sigma * gradient
        done += updates
    if not torch.isfinite(latent).all():
        raise EditDiverged(f"the latent is no longer finite after guidance with scale {scale}: use a smaller scale")
    return Guided(latent, tuple(losses), before, done, stride)


def _change(before: Tensor, after: Tensor, mask: Tensor) -> float:
    """Relative change of a gradient inside the mask; 0 where there was none to begin with."""
    size = float((mask * before).norm())
    return float((mask * (after - before)).norm()) / size if size else 0.0
