"""Low-memory mode: less GPU memory for more time."""

from __future__ import annotations

from typing import Protocol

import torch

from magedit.backbones.base import Loaded


class Editor(Protocol):
    """Interface of a pipeline on a checkpoint."""

    batch_results: int

    @property
    def backbone(self) -> Loaded: ...


def save_memory(pipe: Editor, device: str | torch.device) -> None:
    """Make ``pipe`` compute on ``device`` with minimal device memory; use instead of ``pipe.to(device)``.

    Text encoders, network and VAE are on the device only while they compute (diffusers' model offload; nothing to gain
    on a CPU), no two results share a batch, and passes with gradients keep the input of each block alone and compute
    the rest again on their way back (Chen et al., arXiv 1604.06174): one more forward pass for each backward pass.
    Results are the same.
    """
    pipe.batch_results = 1
    pipe.backbone.network.enable_gradient_checkpointing()
    if torch.device(device).type == "cpu":
        pipe.backbone.to(device)
    else:
        pipe.backbone.enable_model_cpu_offload(device=device)


__all__ = ["save_memory"]
