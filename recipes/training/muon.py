"""Muon: momentum whose update is orthogonalized (Jordan et al. 2024, "Muon: an optimizer for hidden layers").

`torch.optim.Muon` takes matrices only; here a convolution's weight (out, in, h, w) counts as (out, in * h *
w). On a CPU the orthogonalization takes much of a step, so wide matrices iterate on their Gram matrix,
and several processes divide the matrices among them.
"""

from collections.abc import Callable, Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the Newton-Schulz iteration (Jordan et al. 2024)."""
STEPS = 5
"""Newton-Schulz iterations (Jordan et al. 2024)."""


def orthogonalize(matrix: Tensor) -> Tensor:
    """The nearly orthogonal matrix with the singular vectors of `matrix` (m, n); singular values 0.7 to
    1.2."""
    a, b, c = QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    rows, columns = x.shape
    gram = x @ x.T
    if columns >= 2 * rows:
        # every iteration multiplies x by a polynomial of the gram matrix: collect the product, apply it once
        product = torch.eye(rows, dtype=x.dtype, device=x.device)
        for step in range(STEPS):
            factor = b * gram + c * gram @ gram
            factor.diagonal().add_(a)
            product = factor @ product
            if step < STEPS - 1:
                gram = factor @ gram @ factor
        x = product @ x
    else:
        for step in range(STEPS):
            x = a * x + (b * gram + c * gram @ gram) @ x
            if step < STEPS - 1:
                gram = x @ x.T
    result: Tensor = x.T if tall else x
    return result


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalized, scaled by sqrt(max(1, rows / columns)).

    With `processes` > 1 (a process group must exist, and gradients must agree), each rank orthogonalizes its
    share of the matrices and the updates are exchanged.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})
        self._rank, self._processes = rank, processes

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update; every parameter must have a gradient."""
        del closure
        for group in self.param_groups:
            weights: list[nn.Parameter] = group["params"]
            by_cost = sorted(range(len(weights)), key=lambda index: (weights[index].numel(), index))
            mine = set(by_cost[self._rank :: self._processes])
            updates = []
            for index, weight in enumerate(weights):
                gradient = weight.grad
                if gradient is None:
                    raise RuntimeError(f"matrix {index} of shape {tuple(weight.shape)} has no gradient")
                memory = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
                memory.lerp_(gradient, 1 - group["momentum"])
                if index in mine:
                    update = gradient.lerp(memory, group["momentum"]).flatten(1)
                    scale = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
                    updates.append(orthogonalize(update).flatten() * scale)
                else:
                    updates.append(torch.zeros(weight.numel(), device=weight.device))
            flat = torch.cat(updates)
            if self._processes > 1:
                dist.all_reduce(flat)
            for weight, update in zip(weights, torch.split(flat, [weight.numel() for weight in weights]), strict=True):
                weight.add_(update.view_as(weight), alpha=-group["lr"])


def optimizers(
    model: nn.Module, muon: float, adam: float, rank: int = 0, processes: int = 1
) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices of a model, Adam for its ends, embeddings, norms and biases."""
    ends: tuple[str, ...] = ("conv_in", "conv_out", "embeddings", "head", "quant_conv")
    ends += ("vision_encoder.pos_embed", "patch_embed", "point_embed", "mask_tokens", "iou_token")  # of a segmenter
    hidden: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            at_an_end = parameter.ndim < 2 or any(end in name for end in ends)
            (rest if at_an_end else hidden).append(parameter)
    return [
        Muon(hidden, lr=muon, rank=rank, processes=processes),
        torch.optim.Adam(rest, lr=adam, betas=(0.9, 0.99)),
    ]
