"""The two constraints against the recorded losses and gradients, and when words have won."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from magedit.config import EditConfig
from magedit.errors import EmptyMask
from magedit.guidance.constraints import (
    WordTarget,
    constraint_loss,
    have_won,
    measure,
    resample_mask,
    spatial_ratio,
    token_ratio,
)
from magedit.measures.report import Ratios
from tests.magedit.conftest import VECTORS, relative

pytestmark = pytest.mark.usefixtures("grad_enabled")


def recorded(side: int) -> tuple[Tensor, list[WordTarget], dict[str, Tensor]]:
    vectors = load_file(VECTORS / "losses.safetensors")
    described = json.loads((VECTORS / "losses.json").read_text())
    mask = resample_mask(vectors["mask_64"], side, "nearest").flatten()
    words = [WordTarget(0, tuple(described["token_indices"][word]), {side: mask}) for word in described["words"]]
    return vectors[f"maps_{side}"], words, vectors


@pytest.mark.parametrize("side", [8, 16])
@pytest.mark.parametrize("constraint", ["token", "spatial"])
def test_losses_and_gradients_agree_with_the_vectors(constraint: Literal["token", "spatial"], side: int) -> None:
    maps, words, vectors = recorded(side)
    maps = maps.requires_grad_(True)
    loss = constraint_loss({"layer": maps}, {"layer": side}, words, EditConfig(constraint=constraint))
    (gradient,) = torch.autograd.grad(loss, maps)
    assert float(loss.detach()) == pytest.approx(float(vectors[f"{constraint}_loss_{side}"]), rel=1e-5)
    assert relative(gradient, vectors[f"{constraint}_grad_{side}"]) < 1e-5


def test_both_is_the_weighted_sum() -> None:
    maps, words, _ = recorded(8)
    losses = {
        name: float(constraint_loss({"a": maps}, {"a": 8}, words, config))
        for name, config in (
            ("token", EditConfig(constraint="token")),
            ("spatial", EditConfig(constraint="spatial")),
        )
    }
    both = EditConfig(constraint="both", token_weight=2.0, spatial_weight=0.5)
    assert float(constraint_loss({"a": maps}, {"a": 8}, words, both)) == pytest.approx(
        2.0 * losses["token"] + 0.5 * losses["spatial"], rel=1e-5
    )


@given(st.integers(0, 2**31), st.integers(1, 16))
@settings(deadline=None, max_examples=30)
def test_ratios_are_shares(seed: int, selected: int) -> None:
    maps = torch.rand(2, 16, 5, generator=torch.Generator().manual_seed(seed))
    mask = (torch.arange(16) < selected).float()
    for ratio in (token_ratio(maps, [1, 3], mask), spatial_ratio(maps, [1, 3], mask)):
        assert ratio.shape == (2,)
        assert ((ratio >= 0) & (ratio <= 1 + 1e-6)).all()
    whole = torch.ones(16)
    torch.testing.assert_close(spatial_ratio(maps, [1], whole), torch.ones(2))
    everything = sum(token_ratio(maps, [token], mask) for token in range(5))
    torch.testing.assert_close(everything, torch.ones(2))


def test_ratios_stay_finite_where_a_word_gets_no_attention() -> None:
    maps = torch.zeros(1, 4, 3)
    assert float(spatial_ratio(maps, [1], torch.ones(4))) == 0.0
    assert float(token_ratio(maps, [1], torch.ones(4))) == 0.0


def test_text_and_joint_denominators() -> None:
    # Two positions: the first gives the text half of its attention, the second a tenth.
    maps = torch.tensor([[[0.4, 0.1], [0.06, 0.04]]])
    inside = torch.tensor([1.0, 0.0])
    assert float(token_ratio(maps, [0], inside)) == float(token_ratio(maps, [0], inside, "text")) == pytest.approx(0.8)
    assert float(token_ratio(maps, [0], inside, "joint")) == pytest.approx(0.4)
    assert float(spatial_ratio(maps, [0], inside)) == float(spatial_ratio(maps, [0], inside, "joint"))
    assert float(spatial_ratio(maps, [0], inside, "joint")) == pytest.approx(0.4 / 0.46)
    assert float(spatial_ratio(maps, [0], inside, "text")) == pytest.approx(0.8 / 1.4)
    word = [WordTarget(0, (0,), {2: inside})]
    (ratios,) = measure({"a": maps}, {"a": 2}, word, 1, "joint")
    assert (ratios.token, ratios.spatial) == pytest.approx((0.4, 0.4 / 0.46))
    config = EditConfig(denominator="joint")
    assert float(constraint_loss({"a": maps}, {"a": 2}, word, config)) == pytest.approx(0.36)


def test_coverage_keeps_a_mask_that_nearest_loses() -> None:
    mask = torch.zeros(64, 64)
    mask[:, 13] = 1
    with pytest.raises(EmptyMask, match="use 'coverage'"):
        resample_mask(mask, 8, "nearest")
    assert resample_mask(mask, 8, "coverage").sum() == 8


def test_measure_is_per_region_and_leaves_negative_words_out() -> None:
    maps = torch.full((1, 4, 3), 0.1)
    maps[:, :2, 1] = 0.8
    here, there = torch.tensor([1.0, 1, 0, 0]), torch.tensor([0.0, 0, 1, 1])
    words = [
        WordTarget(0, (1,), {2: here}),
        WordTarget(0, (2,), {2: here}, negative=True),
        WordTarget(1, (1,), {2: there}),
    ]
    first, second, third = measure({"a": maps}, {"a": 2}, words, 3)
    assert first.token == pytest.approx(0.8)
    assert first.spatial == pytest.approx(1.6 / 1.8)
    assert second.token == pytest.approx(1 / 3)
    assert third == Ratios(token=0.0, spatial=0.0)


@pytest.mark.parametrize(("share", "won"), [(0.5, True), (0.3, False)])
def test_words_have_won_when_each_token_tops_every_other_word_inside_the_mask(share: float, won: bool) -> None:
    # Token 0 stands for the begin of the prompt: it gets most and is no rival.
    maps = torch.tensor([0.9, share, 0.6, 0.4]).expand(2, 4, 4).clone()
    maps[:, 2:, 1] = 0.0
    inside = torch.tensor([1.0, 1, 0, 0])
    word = WordTarget(0, (1, 2), {2: inside}, rivals=(3,))
    assert have_won({"a": maps}, {"a": 2}, [word], margin=1.0) is won
    assert not have_won({"a": maps}, {"a": 2}, [word], margin=2.0)
    assert not have_won({"a": maps}, {"a": 2}, [replace(word, masks={2: 1 - inside})], margin=1.0)
    for hopeless in (replace(word, negative=True), replace(word, rivals=())):
        assert not have_won({"a": maps}, {"a": 2}, [word, hopeless], margin=1.0)


@pytest.mark.parametrize(("elsewhere", "won"), [(0.2, True), (0.3, False)])
def test_a_word_stands_out_against_the_strongest_equal_area_outside(elsewhere: float, won: bool) -> None:
    # Two of the nine positions are inside; outside, the two strongest count and the weak rest does not.
    word = torch.tensor([0.4, 0.4, elsewhere, elsewhere, 0, 0, 0, 0, 0])
    maps = torch.stack([1 - word, word], 1).expand(2, 9, 2)
    inside = torch.tensor([1.0, 1, 0, 0, 0, 0, 0, 0, 0])
    target = WordTarget(0, (1,), {3: inside}, rivals=(0,))
    assert have_won({"a": maps}, {"a": 3}, [target], contrast=2.0) is won
    assert not have_won({"a": maps}, {"a": 3}, [target])
    assert not have_won({"a": maps}, {"a": 3}, [target, replace(target, negative=True)], contrast=2.0)


def test_a_word_wins_by_its_rivals_or_by_its_contrast() -> None:
    # One word tops its rival everywhere, the other stands out without topping.
    maps = torch.tensor([[0.1, 0.7, 0.2], [0.3, 0.7, 0.0]]).repeat(1, 2, 1)
    masks = {2: torch.tensor([1.0, 0, 1, 0])}
    first, second = WordTarget(0, (1,), masks, rivals=(2,)), WordTarget(0, (2,), masks, rivals=(1,))
    assert not have_won({"a": maps}, {"a": 2}, [first, second], margin=1.0)
    assert not have_won({"a": maps}, {"a": 2}, [first, second], contrast=2.0)
    assert have_won({"a": maps}, {"a": 2}, [first, second], margin=1.0, contrast=2.0)


def test_with_nothing_outside_no_word_stands_out() -> None:
    word = WordTarget(0, (1,), {2: torch.ones(4)}, rivals=(0,))
    assert not have_won({"a": torch.full((1, 4, 2), 0.5)}, {"a": 2}, [word], contrast=1.0)
