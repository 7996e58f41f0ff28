"""One guided update of the latent, and how many of them one gradient serves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from magedit.config import EditConfig
from magedit.errors import EditDiverged
from magedit.guidance.constraints import WordTarget, constraint_loss, measure
from magedit.guidance.descent import Descent, Guided, descend

MASK = torch.tensor([[1.0, 0], [0, 0]])
ITERATIONS = 40


def attend(latent: Tensor) -> dict[str, Tensor]:
    """Attention that is a softmax of the latent itself: channel 1 is the word."""
    return {"a": latent[0].flatten(1).T.softmax(-1)[None]}


def begin(negative: bool = False, step_size: float = 1.0, iterations: int = ITERATIONS, **options: Any) -> Descent:
    word = WordTarget(0, (1,), {2: MASK.flatten()}, negative=negative)
    return Descent(
        latent=torch.zeros(1, 3, 2, 2),
        ratios=lambda maps: measure(maps, {"a": 2}, [word], 1),
        iterations=iterations,
        step_size=step_size,
        sigma=2.0,
        mask=MASK,
        **{"loss": lambda m: constraint_loss(m, {"a": 2}, [word], EditConfig()), **options},
    )


def drive(on_gradient: Callable[[], None] = lambda: None, **options: Any) -> Guided:
    (guided,) = descend([begin(**options)], lambda latents: [attend(latents)], on_gradient)
    return guided


def share(guided: Guided) -> float:
    return float(attend(guided.latent)["a"][0, 0, 1])


def test_guidance_raises_the_words_share_only_inside_the_mask() -> None:
    looks: list[int] = []
    guided = drive(on_gradient=lambda: looks.append(1))
    assert share(guided) > 0.8
    assert len(looks) == len(guided.losses) == guided.updates == ITERATIONS
    assert guided.latent[0, :, 0, 1].abs().max() == 0
    assert guided.latent[0, :, 1].abs().max() == 0


def test_a_negative_word_is_pushed_down() -> None:
    assert share(drive(negative=True)) < 0.2


def test_a_latent_that_leaves_its_range_is_an_error_that_names_the_scale() -> None:
    with pytest.raises(EditDiverged, match="inf"):
        drive(step_size=float("inf"), iterations=2)


def test_without_a_tolerance_it_is_the_papers_loop() -> None:
    wanted = torch.zeros(1, 3, 2, 2)
    for _ in range(ITERATIONS):
        variable = wanted.clone().requires_grad_(True)
        v = attend(variable)["a"][0, 0, 1]
        (gradient,) = torch.autograd.grad((1 - v) ** 2, variable)
        wanted = wanted - MASK * 2.0 * gradient
    torch.testing.assert_close(drive(stride=8).latent, wanted)


@pytest.mark.parametrize(("tolerance", "error", "most"), [(0.01, 0.005, 30), (0.02, 0.01, 15), (0.1, 0.05, 4)])
def test_strides_arrive_where_single_updates_do_with_fewer_gradients(tolerance: float, error: float, most: int) -> None:
    # A small step: strides are for gradients that change little from update to update.
    single, strides = drive(step_size=0.02), drive(step_size=0.02, tolerance=tolerance)
    assert strides.updates == single.updates == ITERATIONS
    assert len(strides.losses) <= most
    assert float((strides.latent - single.latent).norm() / single.latent.norm()) < error


def test_every_step_takes_two_gradients_from_any_first_stride() -> None:
    assert len(drive(step_size=1e-3, tolerance=1.0, stride=1000).losses) == 2


def test_a_stride_that_was_too_long_is_taken_back() -> None:
    # One gradient for 20 updates would throw the word far beyond its goal, on the way back the same.
    def valley(maps: Any) -> Tensor:
        distance: Tensor = maps["a"][0, 0, 1] - 0.5
        return distance**2

    single = drive(step_size=2.0, loss=valley)
    strides = drive(step_size=2.0, loss=valley, tolerance=0.3, stride=20)
    assert strides.losses[1] > strides.losses[0] / 2
    assert strides.losses[-1] < 1e-3
    assert abs(share(strides) - share(single)) < 0.03


@pytest.mark.parametrize(("wins_at", "updates"), [(1, 0), (4, 3), (100, ITERATIONS)])
def test_a_step_ends_when_its_words_have_won(wins_at: int, updates: int) -> None:
    asked: list[int] = []
    spent: list[int] = []

    def won(_: object) -> bool:
        asked.append(1)
        return len(asked) == wins_at

    guided = drive(won=won, on_gradient=lambda: spent.append(1))
    assert guided.updates == len(spent) == updates
    assert len(guided.losses) == min(wins_at, ITERATIONS)
    assert guided.before


def test_a_zero_gradient_is_handled() -> None:
    flat: Callable[[Any], Tensor] = lambda maps: 0 * maps["a"].sum()  # noqa: E731
    assert drive(loss=flat, tolerance=0.5).updates == ITERATIONS


def test_parallel_results_match_single_ones_and_end_independently() -> None:
    options: list[dict[str, Any]] = [
        {},
        {"step_size": 0.02, "tolerance": 0.02},
        {"negative": True, "iterations": 3},
        {"won": lambda maps: float(maps["a"][0, 0, 1]) > 0.5},
        {"iterations": 0},
    ]
    rows: list[int] = []
    gradients: list[int] = []

    def side_by_side(latents: Tensor) -> list[dict[str, Tensor]]:
        rows.append(len(latents))
        return [attend(one[None]) for one in latents]

    together = descend([begin(**each) for each in options], side_by_side, lambda: gradients.append(1))
    alone = [drive(**each) for each in options]
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.latent, other.latent)
        assert (one.updates, one.stride, one.before) == (other.updates, other.stride, other.before)
        assert one.losses == pytest.approx(other.losses)
    looks = [len(each.losses) for each in alone]
    assert rows == [sum(turn < number for number in looks) for turn in range(max(looks))]
    # A look that finds that the word has won asks for no gradient.
    assert len(gradients) == sum(looks) - 1


def test_a_cancel_between_gradients_ends_them_all() -> None:
    def cancel() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive(on_gradient=cancel)
