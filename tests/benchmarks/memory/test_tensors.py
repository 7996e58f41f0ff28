"""Bytes that are alive."""

from __future__ import annotations

import torch

from benchmarks.memory.tensors import Living

KIB = 1024


def made(kib: int) -> torch.Tensor:
    return torch.zeros(kib * KIB, dtype=torch.uint8)


def test_the_peak_counts_simultaneously_live_tensors() -> None:
    there = made(4)
    with Living([there, there.view(2, -1)]) as living:
        assert (living.now, living.peak) == (4 * KIB, 4 * KIB)
        first = made(2)
        del first
        second = made(3)
        assert (living.now, living.peak) == (7 * KIB, 7 * KIB)
        part = second[: 2 * KIB]
        del second
        assert living.now == 7 * KIB
        del part
        assert (living.now, living.peak) == (4 * KIB, 7 * KIB)
        living.restart()
        assert living.peak == 4 * KIB


def test_a_resized_storage_counts_with_its_new_size() -> None:
    with Living([]) as living:
        tensor = made(1)
        tensor.resize_(8 * KIB)
        assert (living.now, living.peak) == (8 * KIB, 8 * KIB)
        del tensor
        assert living.now == 0


def test_saved_activations_count_until_the_backward_pass() -> None:
    weight = torch.ones(KIB, requires_grad=True)
    with Living([weight]) as living:
        loss = (weight.exp() * 2).sum()
        kept = living.now
        loss.backward()  # type: ignore[no-untyped-call]
        del loss
        assert kept >= 2 * weight.nbytes
        assert living.now == 2 * weight.nbytes  # the weight and its gradient
