"""Passes one by one and in a batch: both are timed, and a batch gives what its rows give alone, to rounding."""

from __future__ import annotations

import pytest
import torch

from benchmarks.speed.batching import compare, compare_edit, in_turn
from magedit.config import EditConfig
from tests.magedit.conftest import load_pipeline


def test_both_ways_are_timed() -> None:
    found = compare(load_pipeline(), 2, 1)
    assert len(found) == 2
    assert all(alone > 0 and together > 0 for alone, together in found.values())


def test_an_edit_is_timed_both_ways() -> None:
    pipe = load_pipeline()
    with pytest.MonkeyPatch.context() as patch:
        seen: list[int] = []
        patch.setattr(type(pipe), "__call__", lambda self, *_: seen.append(self.batch_results))
        alone, together = compare_edit(pipe, EditConfig(n=3), 2)
    assert seen == [1, 3, 1, 3]
    assert min(alone, together) >= 0


@torch.no_grad()
def test_batched_rows_equal_single_rows_up_to_rounding() -> None:
    pipe = load_pipeline()
    latents = torch.randn(2, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    prompts = pipe.encode("a room").expand(2).hidden_states
    batch = pipe.unet(latents, 500, prompts).sample
    torch.testing.assert_close(batch[:1], pipe.unet(latents[:1], 500, prompts[:1]).sample, rtol=1e-4, atol=1e-5)


def test_two_functions_take_turns() -> None:
    calls: list[str] = []
    before, after = in_turn(lambda: calls.append("a"), lambda: calls.append("b"), rounds=2)
    assert calls == ["a", "b", "a", "b"]
    assert before >= 0
    assert after >= 0
