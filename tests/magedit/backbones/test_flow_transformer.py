"""Properties that every family of rectified flow has behind the one interface, on tiny real models."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import torch

from magedit.backbones.base import frozen, reading
from magedit.config import EditConfig
from magedit.errors import InvalidEdit
from magedit.images.masks import working_crop
from magedit.measures.meter import planned
from magedit.measures.passes import Passes
from magedit.measures.report import Progress
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import ROUNDING, Room, clean_of, edit, inputs, latent_of, relative


@pytest.fixture(scope="module", params=["sd3", "flux"])
def pipe(request: pytest.FixtureRequest) -> MAGEditPipeline:
    loaded: MAGEditPipeline = MAGEditPipeline.from_pretrained(request.getfixturevalue(request.param))
    loaded.set_progress_bar_config(disable=True)
    return loaded


def test_an_edit_that_changes_nothing_ends_at_the_picture(pipe: MAGEditPipeline, small_room: Room) -> None:
    """Without guidance, of the same prompt, direct inversion takes each inverted step back exactly."""
    same = {"method": "p2p", "guidance_scale": 1.0, "blend_fraction": 0.0, "cross_replace": 0.0, "self_replace": 0.0}
    exact = edit(pipe, small_room, small_room.source, **same)
    assert relative(latent_of(exact), clean_of(exact)) < ROUNDING
    drifting = edit(pipe, small_room, small_room.source, inversion="ddim", **same)
    assert relative(latent_of(drifting), clean_of(drifting)) > 10 * ROUNDING


def test_the_source_branch_is_reconstructed_exactly(pipe: MAGEditPipeline, small_room: Room) -> None:
    output = edit(pipe, small_room)
    assert torch.equal(output.edited[0].source, clean_of(output))
    assert relative(latent_of(output), clean_of(output)) > ROUNDING


@pytest.mark.parametrize("constraint", ["token", "spatial", "both"])
def test_guidance_raises_the_ratio(pipe: MAGEditPipeline, small_room: Room, constraint: str) -> None:
    output = edit(
        pipe, small_room, constraint=constraint, stop_margin=0.0, gradient_tolerance=0.0, max_iterations=3, steps=2
    )
    step = output.measures.trace[0]
    assert step.losses[-1] < step.losses[0]


@pytest.mark.parametrize("method", ["mag-edit", "p2p", "blended-latent", "diffedit", "flow-edit"])
def test_nothing_outside_the_mask_changes(pipe: MAGEditPipeline, small_room: Room, method: str) -> None:
    output = edit(pipe, small_room, method=method, blend_fraction=1.0)
    assert working_crop(small_room.mask, pipe.size, 10.0) == output.measures.crop
    change = (latent_of(output) - clean_of(output)).abs().amax(1)[0]
    # The mask at latent resolution, dilated by a cell.
    inside = torch.zeros(change.shape, dtype=torch.bool)
    inside[7:13, 4:11] = True
    assert change[~inside].max() == 0
    assert change[inside].max() > 0


@pytest.mark.parametrize("when", ["afterwards", "after an error"])
def test_the_model_is_as_before_on_every_exit(pipe: MAGEditPipeline, small_room: Room, when: str) -> None:
    latent, prompt = inputs(pipe)
    network = pipe.network
    processors = dict(network.attn_processors)
    with torch.no_grad():
        before = pipe.backbone.predict(latent, 500.0, prompt)

    def stop(progress: Progress) -> None:
        if when == "after an error" and progress.fraction > 0.6:
            raise InterruptedError

    with suppress(InterruptedError):
        edit(pipe, small_room, on_progress=stop)
    assert network.attn_processors == processors
    assert all(parameter.requires_grad for parameter in network.parameters())
    with torch.no_grad():
        assert torch.equal(pipe.backbone.predict(latent, 500.0, prompt), before)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_truncated_pass_is_the_whole_one_in_maps_and_gradient(pipe: MAGEditPipeline, checkpointing: bool) -> None:
    backbone, (sample, prompt) = pipe.backbone, inputs(pipe)
    names = [site.name for site in backbone.sites]
    if checkpointing:
        backbone.network.enable_gradient_checkpointing()
    try:
        for last in range(len(names)):
            found = []
            for whole in (True, False):
                latent = sample.clone().requires_grad_(True)
                with frozen(backbone.network), backbone.editing(reading(names[: last + 1]), 1) as (maps,):
                    if whole:
                        backbone.predict(latent, 500.0, prompt)
                    else:
                        backbone.attend(latent, 500.0, prompt, backbone.sites[last])
                    total = torch.stack([each.square().sum() for each in maps.values()]).sum()
                    found.append((dict(maps), torch.autograd.grad(total, latent)[0]))
            assert list(found[1][0]) == names[: last + 1]
            assert all(torch.equal(found[0][0][name], found[1][0][name]) for name in found[1][0])
            assert torch.equal(found[0][1], found[1][1])
            assert found[1][1].abs().max() > 0
    finally:
        backbone.network.disable_gradient_checkpointing()


def test_reading_changes_nothing(pipe: MAGEditPipeline) -> None:
    latent, prompt = inputs(pipe, 2)
    backbone = pipe.backbone
    with torch.no_grad():
        plain = backbone.predict(latent, 500.0, prompt)
        with backbone.editing(reading(site.name for site in backbone.sites), 2) as rows:
            read = backbone.predict(latent, 500.0, prompt)
    assert relative(read, plain) < ROUNDING
    for site in backbone.sites:
        _, positions, columns = rows[1][site.name].shape
        assert (positions, columns) == (site.positions, backbone.text_columns)
        assert rows[1][site.name].sum(-1).max() < 1


@pytest.mark.parametrize("method", ["mag-edit", "p2p"])
def test_batches_equal_singles(pipe: MAGEditPipeline, small_room: Room, method: str) -> None:
    together = edit(pipe, small_room, method=method, n=3)
    for seed, one in enumerate(latent_of(together)):
        alone = edit(pipe, small_room, method=method, seed=seed)
        assert relative(one, latent_of(alone)[0]) < ROUNDING


def test_half_precision_stays_finite(request: pytest.FixtureRequest, pipe: MAGEditPipeline, small_room: Room) -> None:
    folder = request.getfixturevalue("flux" if "embedded-guidance" in pipe.backbone.traits else "sd3")
    half = MAGEditPipeline.from_pretrained(folder, dtype=torch.bfloat16)
    half.set_progress_bar_config(disable=True)
    assert half.backbone.dtype is torch.bfloat16
    # With coarse numbers a word may win early: it is pushed on.
    output = edit(half, small_room, stop_margin=0.0, stop_contrast=0.0)
    assert torch.isfinite(latent_of(output)).all()
    assert output.edited[0].trace[0].iterations == 2
    assert pipe.backbone.dtype is torch.float32


EVERYWHERE: tuple[dict[str, Any], ...] = (
    {"inversion": "ddim"},
    {"method": "sine", "tune_steps": 2},
    {"method": "flow-edit", "seed": 3},
    {"method": "diffedit", "mask_source": "own", "mask_ratio": 0.5},
    {"eta": 0.5, "local_blend": 0.3, "seed": 4},
    {"injection": "replace", "equalizer": {"green": 2.0}},
)
WITH_UNCONDITIONAL: tuple[dict[str, Any], ...] = (
    {"inversion": "null-text", "null_text_iterations": 2},
    {"inversion": "negative-prompt"},
    {"inversion": "proximal", "proximal_reconstruction": 0.1},
    {"negative_prompt": "a green room"},
    {"method": "flow-edit", "negative_prompt": "a green room"},
)


@pytest.mark.parametrize(
    "given", [*EVERYWHERE, *WITH_UNCONDITIONAL], ids=lambda given: "-".join(map(str, given.values()))
)
def test_suited_methods_edit_and_others_are_refused(
    pipe: MAGEditPipeline, small_room: Room, given: dict[str, Any]
) -> None:
    if given in WITH_UNCONDITIONAL and "unconditional" not in pipe.backbone.traits:
        with pytest.raises(InvalidEdit, match="takes the guidance scale as input"):
            edit(pipe, small_room, **given)
        return
    output = edit(pipe, small_room, **given)
    assert torch.isfinite(latent_of(output)).all()
    assert relative(latent_of(output), clean_of(output)) > ROUNDING


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"method": "pnp"}, "a transformer without one"),
        ({"inversion": "style"}, "values of cross attention"),
        ({"inversion": "virtual"}, "predicts a velocity"),
        ({"self_replace_max_positions": 64}, "same size"),
    ],
)
def test_an_unsuited_parameter_is_refused_with_the_reason(
    pipe: MAGEditPipeline, small_room: Room, given: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidEdit, match=reason):
        edit(pipe, small_room, **given)


def test_defaults_of_the_checkpoint_are_those_of_an_edit(pipe: MAGEditPipeline, small_room: Room) -> None:
    backbone = pipe.backbone
    inversion = pipe.invert(small_room.image, [small_room.mask], small_room.source)
    assert inversion.config.steps == backbone.defaults["steps"] == 28
    assert inversion.config.guidance_scale == backbone.defaults["guidance_scale"]


def test_an_edit_by_flow_that_changes_nothing_is_the_picture(pipe: MAGEditPipeline, small_room: Room) -> None:
    same = {"method": "flow-edit", "guidance_scale": 3.0, "source_guidance_scale": 3.0}
    output = edit(pipe, small_room, small_room.source, **same)
    assert relative(latent_of(output), clean_of(output)) < ROUNDING


def test_flow_edits_keep_the_picture_where_a_soft_mask_is_weak(pipe: MAGEditPipeline, small_room: Room) -> None:
    """Where the mask is too weak for the last of the steps that hold back, the picture stands in the end."""
    weak = small_room.mask.point(lambda value: value // 255 * 40)
    room = replace(small_room, mask=weak)
    output = edit(pipe, room, method="flow-edit", mask_softness="strength", skip_fraction=0.0, steps=4)
    change = (latent_of(output) - clean_of(output)).abs().amax(1)[0]
    whole = edit(pipe, small_room, method="flow-edit", skip_fraction=0.0, steps=4)
    assert torch.isfinite(change).all()
    assert 0 < change.max() < (latent_of(whole) - clean_of(whole)).abs().max()


def test_an_edit_by_flow_inverts_nothing(pipe: MAGEditPipeline, small_room: Room) -> None:
    output = edit(pipe, small_room, method="flow-edit", steps=6, skip_fraction=0.5)
    stages = planned(EditConfig(method="flow-edit", steps=6, skip_fraction=0.5), inverted=False)
    assert output.measures.unet_forward == sum(stages.values(), Passes()).forward == 2 * 3
    assert [step.step for step in output.measures.trace] == [3]


def test_a_methods_own_defaults_win_over_the_checkpoints(pipe: MAGEditPipeline, small_room: Room) -> None:
    given = EditConfig(method="flow-edit", steps=2)
    output = pipe(small_room.image, [small_room.mask], small_room.source, small_room.target, (), given)
    defaults = pipe.backbone.defaults
    assert output.inversion.config.guidance_scale == defaults["flow-edit"]["guidance_scale"]
    assert output.inversion.config.guidance_scale != defaults["guidance_scale"]
