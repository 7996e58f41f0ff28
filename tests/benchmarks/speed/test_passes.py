"""What passes of each kind hold and cost."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmarks.speed.counters import Clock
from benchmarks.speed.passes import PassBench, pass_flops, pass_seconds
from benchmarks.speed.released import plain
from magedit.pipelines.mag_edit import MAGEditPipeline


def test_flops_by_kind_of_pass(pipe: MAGEditPipeline) -> None:
    each = pass_flops(PassBench(pipe.backbone, pipe.latent_side, pipe.guidance_side))
    assert each["truncated"] < each["source"] < each["forward"]
    assert each["graded"] == each["forward"] == pytest.approx(each["plain forward"])
    # The way back from the noise is longer than that from the maps.
    assert each["backward"] < each["embedding"]
    seconds = pass_seconds(PassBench(pipe.backbone, pipe.latent_side, pipe.guidance_side), Clock("cpu"))
    assert set(seconds) == set(each)
    assert min(seconds.values()) > 0


def test_unreplaced_attention_is_not_copied(pipe: MAGEditPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[int] = []
    cat = torch.cat

    def joined(parts: Any, *rest: Any, **named: Any) -> torch.Tensor:
        copied.append(1)
        return cat(parts, *rest, **named)

    monkeypatch.setattr(torch, "cat", joined)
    bench = PassBench(pipe.backbone, pipe.latent_side, pipe.guidance_side)
    # The UNet itself joins its skips.
    bench._forward()
    own = len(copied)
    copied.clear()
    with plain(pipe.unet):
        bench._forward()
    assert len(copied) == own
