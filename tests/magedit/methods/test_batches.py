"""Results of one edit that share passes: as each is alone, in batches as large as may be and no larger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch

from magedit.config import EditConfig, Region
from magedit.measures.report import Progress
from magedit.pipelines.mag_edit import MAGEditOutput, MAGEditPipeline
from tests.magedit.conftest import Room, relative
from tests.magedit.methods.conftest import latent_of

CONFIG = EditConfig(steps=3, max_iterations=2, null_text_iterations=1, style_iterations=1)

ROUNDING = 1e-4
"""Relative, of latents; measured: at most 3.2e-5, in 90 edits over the three methods and all inversions."""


def run(pipe: MAGEditPipeline, room: Room, config: EditConfig, **options: Any) -> MAGEditOutput:
    regions = options.pop("regions", ())
    return pipe(room.image, [room.mask], room.source, room.target, regions, config, output_type="latent", **options)


@contextmanager
def batches(pipe: MAGEditPipeline) -> Iterator[list[int]]:
    """The rows of each whole pass inside."""
    rows: list[int] = []
    hook = pipe.unet.register_forward_pre_hook(lambda _module, inputs: rows.append(len(inputs[0])))
    try:
        yield rows
    finally:
        hook.remove()


@pytest.mark.parametrize(
    "given",
    [
        *(
            {"method": method, "inversion": inversion, "n": 3}
            for method in ("p2p", "mag-edit", "pnp")
            for inversion in ("direct", "null-text")
        ),
        {"sweep": (1.0, 0.5, 0.0)},
        {"sweep": (1.0, 0.5, 0.0), "inversion": "null-text", "inject_edit_words": True},
        {"sweep": (1.0, 0.5, 0.0), "injection": "pnp"},
        # A cut between two values is a matter of rounding: none here (l1 falls to 0 evenly), or one that cuts all.
        {"method": "p2p", "inversion": "proximal", "proximal_norm": "l1", "n": 2},
        {"method": "p2p", "inversion": "proximal", "proximal_quantile": 1.0, "proximal_reconstruction": 0.1, "n": 2},
        {"inversion": "style", "n": 2},
        {"n": 2, "eta": 0.5, "negative_prompt": "a red lamp", "local_blend": 0.3},
        {"n": 2, "guidance_scale": 1.0},
    ],
    ids=lambda given: "-".join(map(str, given.values())),
)
def test_each_result_equals_the_lone_result(
    pipe: MAGEditPipeline, room: Room, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> None:
    config = replace(CONFIG, **given)
    inversion = pipe.invert(room.image, [room.mask], room.source, config=config)
    together = run(pipe, room, config, inversion=inversion)
    # With passes apart each is, to the bit, an edit of its own (test_p2p).
    monkeypatch.setattr(pipe, "batch_results", 1)
    apart = run(pipe, room, config, inversion=inversion)
    for one, other in zip(latent_of(together), latent_of(apart), strict=True):
        assert relative(one, other) < ROUNDING
    for counted in ("unet_forward", "unet_truncated_forward", "unet_backward"):
        assert getattr(together.measures, counted) == getattr(apart.measures, counted)
    for one, other in zip(together.edited, apart.edited, strict=True):
        for step, same in zip(one.trace, other.trace, strict=True):
            assert step.iterations == same.iterations
            assert step.after[0].token == pytest.approx(same.after[0].token, rel=1e-3)
        torch.testing.assert_close(one.attention, other.attention, rtol=1e-3, atol=1e-6)


def test_results_go_in_batches_of_their_halves_up_to_the_limit(
    pipe: MAGEditPipeline, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    inversion = pipe.invert(room.image, [room.mask], room.source, config=CONFIG)
    for most, rows in ((4, [6]), (2, [4, 2]), (1, [2, 2, 2])):
        monkeypatch.setattr(pipe, "batch_results", most)
        with batches(pipe) as seen:
            measures = run(pipe, room, replace(CONFIG, n=3), inversion=inversion).measures
        assert seen == rows * CONFIG.steps
        # Each result's pass counts, whatever it shares (`magedit.measures.passes`).
        assert measures.unet_forward == 3 * CONFIG.steps
    with batches(pipe) as seen:
        run(pipe, room, replace(CONFIG, method="p2p", guidance_scale=1.0, n=2), inversion=inversion)
    assert seen == [1, 1] * CONFIG.steps


def test_guided_results_share_the_passes_of_their_guidance(
    pipe: MAGEditPipeline, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    inversion = pipe.invert(room.image, [room.mask], room.source, config=CONFIG)
    rows: list[int] = []

    def look(_module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if inputs[0].requires_grad:
            rows.append(len(inputs[0]))

    hook = pipe.unet.conv_in.register_forward_pre_hook(look)
    try:
        for most, shared in ((4, [3]), (2, [2, 1]), (1, [1, 1, 1])):
            rows.clear()
            monkeypatch.setattr(pipe, "batch_results", most)
            measures = run(pipe, room, replace(CONFIG, n=3, gradient_tolerance=0.0), inversion=inversion).measures
            assert sorted(rows) == sorted(shared * CONFIG.iterations * CONFIG.guided_steps)
            assert measures.unet_backward == sum(rows)
    finally:
        hook.remove()


def test_results_that_take_over_other_maps_go_apart_as_long_as_they_do(pipe: MAGEditPipeline, room: Room) -> None:
    config = replace(CONFIG, sweep=(1.0, 0.0, 0.5), cross_replace=0.5)
    inversion = pipe.invert(room.image, [room.mask], room.source, config=config)
    # Unguided, the word that both prompts have takes the source's map; a new word never does.
    for word, leading in (("sofa", [4, 2]), ("green", [6])):
        with batches(pipe) as seen:
            run(pipe, room, config, inversion=inversion, regions=[Region(words=(word,))])
        assert seen == leading * 2 + [6]


def test_every_batch_and_every_step_of_each_result_is_reported_in_order(pipe: MAGEditPipeline, room: Room) -> None:
    config = replace(CONFIG, method="p2p", n=3, cross_replace=0.0, self_replace=0.0)
    inversion = pipe.invert(room.image, [room.mask], room.source, config=config)
    reports: list[Progress] = []
    seen: list[tuple[int, torch.Tensor]] = []

    def keep(_pipe: Any, step: int, _timestep: int, tensors: dict[str, Any]) -> dict[str, Any]:
        seen.append((step, tensors["latents"]))
        return tensors

    output = run(pipe, room, config, inversion=inversion, on_progress=reports.append, callback_on_step_end=keep)
    fractions = [report.fraction for report in reports if report.stage == "edit"]
    # At its start, then in each step once for the batch and once for each result.
    assert len(fractions) == 1 + config.steps * (1 + 3)
    assert sorted(set(fractions)) == pytest.approx([step / config.steps for step in range(config.steps + 1)])
    assert [step for step, _ in seen] == [step for step in range(config.steps) for _ in range(3)]
    assert torch.equal(torch.cat([latent for _, latent in seen[-3:]]), latent_of(output))
