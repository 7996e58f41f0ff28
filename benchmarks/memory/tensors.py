"""Bytes of all live tensors: weights, maps, latents, and activations kept for the backward pass.

Memory of the device's libraries (CUDA's context, workspaces of convolutions) is not included.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MIB = 2**20


class Living(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the storages that operations inside make or enlarge, from their first appearance to their
    end. Slows what runs inside down: seconds are to be measured without it."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        """``tensors`` are there already."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._sizes: dict[int, int] = {}
        for tensor in tensors:
            self._see(tensor)
        self.peak = self.now

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation and record its outputs, which include tensors modified in place."""
        del types
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self._see(leaf)
        return out

    def restart(self) -> None:
        """Reset the peak."""
        self.peak = self.now

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        address, size = id(storage), storage.nbytes()
        if address not in self._sizes:
            weakref.finalize(storage, self._end, address)
        self.now += size - self._sizes.get(address, 0)
        self._sizes[address] = size
        self.peak = max(self.peak, self.now)

    def _end(self, address: int) -> None:
        self.now -= self._sizes.pop(address)
