"""Models of transformers that find masks: loading, and the memory they take."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from transformers import AutoConfig, AutoProcessor

from magedit.errors import CheckpointError


class MaskModel:
    """A frozen model with its processor; ``role`` names it in errors, ``layouts`` are the model types it may have."""

    role: ClassVar[str]
    layouts: ClassVar[Collection[str]]
    architecture: ClassVar[Any]
    """The class of transformers that loads the model."""

    def __init__(self, model: Any, processor: Any) -> None:
        self._model, self._processor = model, processor

    @property
    def size_bytes(self) -> int:
        """Memory of the weights in bytes."""
        return sum(tensor.nbytes for tensor in self._model.state_dict().values())

    @classmethod
    def load(cls, checkpoint: str | Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Self:
        """Load a folder or hub id in transformers' layout.

        Raises:
            CheckpointError: it cannot be loaded or has an unsupported layout, which is named.
        """
        name = f"{cls.role} {str(checkpoint)!r}"
        try:
            layout = AutoConfig.from_pretrained(checkpoint).model_type
            if layout not in cls.layouts:
                raise CheckpointError(f"{name} has the layout {layout!r}: use one of {', '.join(cls.layouts)}")
            model = cls.architecture.from_pretrained(checkpoint, dtype=dtype).to(device).eval()
            processor = AutoProcessor.from_pretrained(checkpoint)
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            raise CheckpointError(f"{name} cannot be loaded: {error}") from error
        return cls(model.requires_grad_(False), processor)
