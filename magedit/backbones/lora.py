"""LoRA files on a checkpoint, temporarily or merged."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from safetensors import SafetensorError

from magedit.config.loras import Lora
from magedit.errors import InvalidParameter


class TakesLoras:
    """Mixin for a `Backbone` on a diffusers pipeline with its family's LoRA loader."""

    load_lora_weights: Any
    unload_lora_weights: Any
    set_adapters: Any
    get_list_adapters: Any
    fuse_lora: Any

    @contextmanager
    def with_loras(self, loras: Sequence[Lora]) -> Iterator[None]:
        """Add these LoRA files to the network and the text encoders inside; removed on every exit.

        Raises:
            InvalidParameter: a file cannot be read, or is not for this checkpoint (field ``lora``).
        """
        if not loras:
            yield
            return
        try:
            self._add(loras)
            yield
        finally:
            self.unload_lora_weights()

    def merge_loras(self, loras: Sequence[Lora]) -> None:
        """Merge these LoRA files into the weights.

        Raises:
            InvalidParameter: see `with_loras`.
        """
        if not loras:
            return
        try:
            self._add(loras)
            self.fuse_lora()
        finally:
            self.unload_lora_weights()

    def _add(self, loras: Sequence[Lora]) -> None:
        names = [f"lora{number}" for number in range(len(loras))]
        for name, lora in zip(names, loras, strict=True):
            try:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message="Already found a `peft_config`")
                    self.load_lora_weights(str(lora.file), adapter_name=name, local_files_only=True)
            except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
                reason = str(error).strip().partition("\n")[0]
                raise InvalidParameter(
                    f"the LoRA {lora.file.stem!r} does not fit this checkpoint: {reason}", field="lora"
                ) from error
            if not any(name in adapters for adapters in self.get_list_adapters().values()):
                raise InvalidParameter(
                    f"no weight of the LoRA {lora.file.stem!r} applies to this checkpoint: it was trained for "
                    f"another family",
                    field="lora",
                )
        self.set_adapters(names, [lora.weight for lora in loras])
