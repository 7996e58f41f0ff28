"""A checkpoint in one line."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from magedit.backbones.checkpoints.fingerprint import fingerprint
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import CHECKPOINT, load_pipeline


def test_the_same_weights_have_one_fingerprint_wherever_they_lie(pipe: MAGEditPipeline, tmp_path: Path) -> None:
    shutil.copytree(CHECKPOINT, tmp_path / "copy")
    copy = MAGEditPipeline.from_pretrained(tmp_path / "copy")
    unused = fingerprint(copy.backbone)
    copy.tokenizer(["a room"], padding="max_length", max_length=20, truncation=True)
    assert fingerprint(pipe.backbone) == unused == fingerprint(copy.backbone)


def test_the_fingerprint_changes_with_one_weight_or_the_number_format(pipe: MAGEditPipeline) -> None:
    known = {fingerprint(pipe.backbone), fingerprint(load_pipeline(dtype=torch.bfloat16).backbone)}
    changed = load_pipeline()
    weight: Any = changed.unet.conv_out.weight
    weight.data[0, 0, 0].add_(1e-6)
    known.add(fingerprint(changed.backbone))
    weight.data.copy_(weight.data.flip(0))
    known.add(fingerprint(changed.backbone))
    assert len(known) == 4
