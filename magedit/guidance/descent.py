"""Gradient descent on the noise latent, several updates per gradient and several results per batch.

Paper: arXiv 2312.11396, section 4.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from magedit.errors import EditDiverged
from magedit.measures.report import Ratios

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
    """Start of a stride."""

    latent: Tensor
    gradient: Tensor
    done: int


@dataclass(kw_only=True)
class Descent:
    """The guidance of one result's noise latent at one timestep, so that the edit words win (paper 4.1, algorithm 1).

    ``iterations`` times: z* <- z* - M * sigma_t * d(step_size * L)/dz*. These are Euler steps of length 1 along the
    gradient flow dz*/ds = -M sigma_t d(step_size * L)/dz*. With a ``tolerance`` they are taken several at a time, as an
    integrator with step-size control takes them (Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I,
    II.4): the next stride is the one over which the gradient would change by ``tolerance`` if it goes on changing as
    it does, at most half of the iterations, so that every step looks at the gradient twice at least; a stride over
    which it changed by more than `REJECTED` tolerances is taken back and made shorter. Tolerance 0 is the paper's
    algorithm.

    `descend` runs it: `look` and `follow` in turn, until `is_over`.

    Args:
        latent: z*_t, (1, C, h, w), fp32.
        loss: maps -> L, a scalar.
        ratios: maps -> ratios per region.
        won: maps -> whether to stop early; ends the step before its next gradient. None: never.
        iterations: number of updates.
        tolerance: relative change of the gradient (norm over M) that one stride may span.
        stride: updates that the first gradient serves, if there is a tolerance.
        step_size: of one update; sigma: noise-to-signal ratio at this timestep.
        mask: M at latent resolution, (h, w) of 0 and 1.
    """

    latent: Tensor
    loss: Callable[[Mapping[str, Tensor]], Tensor]
    ratios: Callable[[Mapping[str, Tensor]], tuple[Ratios, ...]]
    won: Callable[[Mapping[str, Tensor]], bool] | None = None
    iterations: int
    tolerance: float = 0.0
    stride: int = 1
    step_size: float
    sigma: float
    mask: Tensor

    def __post_init__(self) -> None:
        self._longest = max(1, (self.iterations + 1) // 2)
        self.stride = min(self.stride, self._longest) if self.tolerance else 1
        self._losses: list[float] = []
        self._before: tuple[Ratios, ...] = ()
        self._done = 0
        self._last: _Point | None = None
        self.is_over = self.iterations == 0

    def look(self, maps: Mapping[str, Tensor]) -> Tensor | None:
        """The loss to differentiate next, given the maps of ``latent``; None: guidance is over."""
        value = self.step_size * self.loss(maps)
        self._losses.append(float(value.detach()))
        if not self._before or self.won is not None:
            seen = {name: m.detach() for name, m in maps.items()}
            self._before = self._before or self.ratios(seen)
            self.is_over = self.won is not None and self.won(seen)
        # If every map is fully injected (`inject_edit_words`, the target adds no word), the latent has no gradient.
        self.is_over = self.is_over or not value.requires_grad
        return None if self.is_over else value

    def follow(self, gradient: Tensor) -> None:
        """Update ``latent`` along its gradient, as many times as the stride."""
        if self.tolerance and self._last is not None:
            change = _change(self._last.gradient, gradient, self.mask)
            tolerance, longest = self.tolerance, self._longest
            fitting = max(1, int(min(longest, self.stride * tolerance / max(change, tolerance / longest))))
            if self.stride > 1 and not change <= REJECTED * tolerance:
                self.latent, gradient, self._done = self._last.latent, self._last.gradient, self._last.done
            self.stride = fitting
        self._last = _Point(self.latent, gradient, self._done)
        updates = min(self.stride, self.iterations - self._done)
        self.latent = self.latent - updates * self.mask * self.sigma * gradient
        self._done += updates
        self.is_over = self._done >= self.iterations

    def guided(self) -> Guided:
        """The guided latent.

        Raises:
            EditDiverged: the latent is no longer finite.
        """
        if not torch.isfinite(self.latent).all():
            raise EditDiverged(
                f"the latent is no longer finite after guidance with step size {self.step_size:g}: use a smaller "
                "guidance_step_size"
            )
        return Guided(self.latent, tuple(self._losses), self._before, self._done, self.stride)


Attend = Callable[[Tensor], Sequence[Mapping[str, Tensor]]]
"""Latents (n, C, h, w) -> each one's maps of the guidance layers, with gradient."""


def descend(descents: Sequence[Descent], attend: Attend, on_gradient: Callable[[], None]) -> tuple[Guided, ...]:
    """Run ``descents`` in parallel: each gradient takes one pass for all that are not finished.

    No result's maps depend on another's latent, so the gradient of the sum separates by result.

    Args:
        descents: guidance of results at the same timestep.
        attend: the pass.
        on_gradient: called after each gradient of each result; may raise to cancel.

    Raises:
        EditDiverged: a latent is no longer finite.
    """
    while active := [each for each in descents if not each.is_over]:
        with torch.enable_grad():
            variables = [each.latent.detach().requires_grad_(True) for each in active]
            rows = attend(torch.cat(variables) if len(variables) > 1 else variables[0])
            looks = [(each, z, each.look(maps)) for each, z, maps in zip(active, variables, rows, strict=True)]
        moving = [(each, z, value) for each, z, value in looks if value is not None]
        if moving:
            gradients = torch.autograd.grad([value for _, _, value in moving], [z for _, z, _ in moving])
            for (each, _, _), gradient in zip(moving, gradients, strict=True):
                on_gradient()
                each.follow(gradient)
    return tuple(each.guided() for each in descents)


def _change(before: Tensor, after: Tensor, mask: Tensor) -> float:
    """Relative change of a gradient inside the mask; 0 if it was zero before."""
    size = float((mask * before).norm())
    return float((mask * (after - before)).norm()) / size if size else 0.0
