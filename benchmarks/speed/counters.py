"""Measurement of seconds, floating-point operations and a device's peak."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

PEAK_SIDE = 2048
"""Side of the square matrices whose product gives the device's peak."""


class Clock:
    """Seconds on one device."""

    def __init__(self, device: str) -> None:
        self.cuda = device.startswith("cuda")

    def __call__(self) -> float:
        """Process time on a CPU, wall time on a GPU once it is idle."""
        if self.cuda:
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()


def _attention_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    batch, heads, rows, width = query
    return int(2 * batch * heads * rows * key[2] * (width + value[3]))


def _attention_backward_flops(_: Any, query: Any, key: Any, value: Any, *__: Any, **___: Any) -> int:
    # Scores again, then two products for each of the two of the forward pass.
    batch, heads, rows, width = query
    return int(2 * batch * heads * rows * key[2] * (3 * width + 2 * value[3]))


# The CPU kernel of fused attention, which the counter does not support.
_FUSED = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward_flops,
}


def counted(run: Callable[[], Any]) -> tuple[float, Any]:
    """Floating-point operations of ``run``, and its result."""
    with FlopCounterMode(display=False, custom_mapping=_FUSED) as counter:
        result = run()
    return float(counter.get_total_flops()), result


def timed(clock: Clock, run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of ``run``, and its result."""
    start = clock()
    result = run()
    return clock() - start, result


def matmul_peak(clock: Clock, device: str, dtype: torch.dtype) -> float:
    """FLOP/s of a large matrix product, best of 5."""
    a, b = (torch.randn(PEAK_SIDE, PEAK_SIDE, device=device, dtype=dtype) for _ in range(2))
    times = []
    for _ in range(5):
        start = clock()
        a @ b
        times.append(clock() - start)
    return 2 * PEAK_SIDE**3 / min(times)
