"""Words as targets, expected work, means."""

from __future__ import annotations

import pytest
import torch

from magedit.attention import Layer
from magedit.config import EditConfig, Region
from magedit.pipeline import MAGEditPipeline
from magedit.plan import expected_work, mean_ratios, word_targets
from magedit.report import Ratios, Stage


def test_each_word_of_each_region_is_a_target_with_its_regions_mask(pipe: MAGEditPipeline) -> None:
    prompt = "a red sofa and a green lamp"
    masks = [torch.zeros(256, 256), torch.zeros(256, 256)]
    masks[0][:32] = 1
    masks[1][:, :64] = 1
    regions = [Region(words=("red", "sofa")), Region(words=("green",), negative_words=("red",), strength=0.5)]
    layers = [Layer("a", True, 8), Layer("b", True, 16)]
    targets = word_targets(prompt, pipe.tokenize(prompt), regions, masks, layers, EditConfig())
    assert [(t.region, t.tokens, t.weight, t.negative) for t in targets] == [
        (0, (2,), 1.0, False),
        (0, (3,), 1.0, False),
        (1, (6,), 0.5, False),
        (1, (2,), 0.5, True),
    ]
    assert targets[0].masks[8].sum() == 8
    assert targets[2].masks[16].sum() == 4 * 16


@pytest.mark.parametrize("inversion", ["direct", "null-text"])
def test_expected_work_knows_what_is_left_out(inversion: str) -> None:
    config = EditConfig(inversion=inversion)  # type: ignore[arg-type]
    whole, reused = (expected_work(config, inverted=inverted) for inverted in (False, True))
    assert whole[Stage.INVERT] == 50
    assert reused[Stage.INVERT] == 0
    assert (Stage.OPTIMIZE in whole) == (inversion == "null-text")
    assert Stage.OPTIMIZE not in reused
    plain = expected_work(EditConfig(method="p2p"), inverted=True)
    assert plain[Stage.EDIT] == 100 < whole[Stage.EDIT]


def test_means_are_per_region() -> None:
    steps = [
        (Ratios(token=0.0, spatial=0.2), Ratios(token=1.0, spatial=1.0)),
        (Ratios(token=0.5, spatial=0.4), Ratios(token=1.0, spatial=0.0)),
    ]
    first, second = mean_ratios(steps)
    assert (first.token, second.spatial) == (0.25, 0.5)
    assert first.spatial == pytest.approx(0.3)
    assert mean_ratios([]) == ()
