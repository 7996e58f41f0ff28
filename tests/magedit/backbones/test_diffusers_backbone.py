"""Facts and parts of a checkpoint, whatever its family."""

from __future__ import annotations

from pathlib import Path

import torch

from magedit.backbones.registry import load_backbone
from tests.magedit.conftest import CHECKPOINT


@torch.no_grad()
def test_facts_are_those_of_the_components() -> None:
    backbone = load_backbone(CHECKPOINT)
    assert (backbone.size, backbone.latent_side, backbone.max_tokens) == (256, 32, 77)
    assert backbone.decode(torch.zeros(1, 4, 32, 32)).size == (256, 256)
    assert "num_train_timesteps" in backbone.noise_settings
    assert not [name for name in backbone.noise_settings if name.startswith("_")]


def test_the_spatial_step_size_is_the_tokens_by_default() -> None:
    sizes = [
        load_backbone(CHECKPOINT, guidance_step_size=3.0, **own).step_sizes for own in ({}, {"spatial_step_size": 9.0})
    ]
    assert [(each.token, each.spatial) for each in sizes] == [(3.0, 3.0), (3.0, 9.0)]


def test_another_network_leaves_the_backbone_as_it_was(flux: Path) -> None:
    backbone, other = load_backbone(flux), load_backbone(flux).network
    changed = backbone.with_network(other)
    assert changed.network is other
    assert backbone.network is not other
    assert [part for part in changed.parts if part is not other] == [
        part for part in backbone.parts if part is not backbone.network
    ]
