"""Muon: momentum whose update is orthogonalized (Jordan et al. 2024, "Muon: an optimizer for hidden layers").

`torch.optim.Muon` takes matrices only; here a convolution's weight (out, in, h, w) counts as (out, in * h * w).
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the Newton-Schulz iteration (Jordan et al. 2024)."""


def orthogonalize(matrix: Tensor, steps: int = 5) -> Tensor:
    """The nearly orthogonal matrix with the singular vectors of `matrix` (m, n); singular values about 0.7 to 1.2."""
    a, b, c = QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalized, scaled by sqrt(max(1, rows / columns))."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update; parameters without a gradient stay."""
        del closure
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                memory = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
                memory.lerp_(weight.grad, 1 - group["momentum"])
                update = weight.grad.lerp(memory, group["momentum"]).flatten(1)
                scale = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
                weight.add_(orthogonalize(update).view_as(weight), alpha=-group["lr"] * scale)


def optimizers(model: nn.Module, muon: float, adam: float) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices of a model, Adam for its ends, embeddings, norms and biases."""
    hidden: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        at_an_end = any(word in name for word in ("conv_in", "conv_out", "embedding", "head", "quant_conv"))
        if "time_embedding" in name or "time_emb_proj" in name:
            at_an_end = False
        (rest if parameter.ndim < 2 or at_an_end else hidden).append(parameter)
    return [Muon(hidden, lr=muon), torch.optim.Adam(rest, lr=adam, betas=(0.9, 0.99))]
