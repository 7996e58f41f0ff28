"""Seconds, floating-point operations and peaks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.speed import counters
from benchmarks.speed.counters import Clock, counted, matmul_peak, timed


def test_flops_of_a_matrix_product() -> None:
    a, b = torch.ones(3, 5), torch.ones(5, 7)
    flops, product = counted(lambda: a @ b)
    assert flops == 2 * 3 * 5 * 7
    assert torch.equal(product, torch.full((3, 7), 5.0))


def test_fused_attention_costs_its_two_products_and_five_on_the_way_back() -> None:
    """Torch's own counter does not know what a CPU runs for it."""
    heads, rows, keys, width = 2, 16, 8, 4
    query = torch.randn(1, heads, rows, width, requires_grad=True)
    key, value = (torch.randn(1, heads, keys, width, requires_grad=True) for _ in range(2))
    product = 2 * heads * rows * keys * width

    def forward() -> Tensor:
        return scaled_dot_product_attention(query, key, value)

    flops, out = counted(forward)
    assert flops == 2 * product
    back, _ = counted(out.sum().backward)
    assert back == 5 * product


def test_timed_returns_the_result_and_its_seconds() -> None:
    ticks = iter((2.0, 5.5))

    class Told(Clock):
        def __call__(self) -> float:
            return next(ticks)

    assert timed(Told("cpu"), lambda: "done") == (3.5, "done")


def test_the_peak_is_that_of_the_fastest_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "PEAK_SIDE", 10)
    ticks = iter((0.0, 4.0, 4.0, 4.5, 5.0, 9.0, 9.0, 11.0, 11.0, 13.0))

    class Told(Clock):
        def __call__(self) -> float:
            return next(ticks)

    assert matmul_peak(Told("cpu"), "cpu", torch.float32) == 2 * 10**3 / 0.5
