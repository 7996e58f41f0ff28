import pytest
import torch
from torch import nn

from recipes.training.muon import Muon, optimizers, orthogonalize


@pytest.mark.parametrize("shape", [(16, 16), (8, 72), (72, 8), (24, 40)])
def test_singular_values_end_near_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalize(matrix))
    assert values.max() < 1.3
    assert values.median() > 0.6


def test_the_gram_iteration_equals_the_plain_one() -> None:
    matrix = torch.randn(8, 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = matrix / matrix.norm()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    torch.testing.assert_close(orthogonalize(matrix), x, rtol=1e-6, atol=1e-6)


def test_muon_fits_a_convolution() -> None:
    torch.manual_seed(0)
    model, target = nn.Conv2d(4, 8, 3), nn.Conv2d(4, 8, 3)
    picture = torch.randn(4, 4, 8, 8)
    optimizer = Muon(list(model.parameters())[:1], lr=0.02)
    losses = []
    for _ in range(60):
        loss = (model(picture) - target(picture).detach()).square().mean()
        model.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


def test_ends_and_vectors_go_to_adam() -> None:
    model = nn.ModuleDict({"conv_in": nn.Conv2d(1, 4, 3), "middle": nn.Conv2d(4, 4, 3), "norm": nn.GroupNorm(2, 4)})
    muon, adam = optimizers(model, 0.01, 0.001)
    assert [tuple(weight.shape) for weight in muon.param_groups[0]["params"]] == [(4, 4, 3, 3)]
    assert len(adam.param_groups[0]["params"]) == 5


def test_a_missing_gradient_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"shape \(2, 3\) has no gradient"):
        Muon([nn.Parameter(torch.zeros(2, 3))], lr=0.1).step()
