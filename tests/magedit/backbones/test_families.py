"""The properties that every family of rectified flow has behind the one interface, on tiny real models."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline, StableDiffusion3Pipeline
from PIL import Image, ImageDraw
from torch import Tensor

from magedit.backbones.base import Conditioning, frozen, reading
from magedit.config import EditConfig, Region
from magedit.errors import CheckpointError, InvalidEdit
from magedit.images.masks import working_crop
from magedit.meter import planned
from magedit.passes import Passes
from magedit.pipelines.mag_edit import MAGEditOutput, MAGEditPipeline
from magedit.prompts.alignment import token_indices
from magedit.report import Progress
from tests.magedit.conftest import Room, relative
from tests.magedit.tiny import T5_TOKENS, write_flux, write_sd3

ROUNDING = 1e-4
"""Relative, of latents; two ways to the same numbers differ by rounding alone."""


@pytest.fixture(scope="module")
def sd3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sd3(tmp_path_factory.mktemp("sd3"))


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flux(tmp_path_factory.mktemp("flux"))


@pytest.fixture(scope="module", params=["sd3", "flux"])
def pipe(request: pytest.FixtureRequest) -> MAGEditPipeline:
    loaded: MAGEditPipeline = MAGEditPipeline.from_pretrained(request.getfixturevalue(request.param))
    loaded.set_progress_bar_config(disable=True)
    return loaded


@pytest.fixture
def small_room(room: Room) -> Room:
    """The room at the tiny models' size."""
    mask = Image.new("L", (128, 128))
    ImageDraw.Draw(mask).rectangle((40, 64, 79, 95), fill=255)
    return replace(room, image=room.image.resize((128, 128)), mask=mask)


def edit(pipe: MAGEditPipeline, room: Room, target: str | None = None, **given: Any) -> MAGEditOutput:
    options = {name: given.pop(name) for name in ("on_progress",) if name in given}
    config = EditConfig(**{"steps": 4, "max_iterations": 2, "crop_context": 10.0, **given}).closed()
    target = room.target if target is None else target
    regions = [Region(words=("sofa",))]
    return pipe(room.image, [room.mask], room.source, target, regions, config, output_type="latent", **options)


def latent_of(output: MAGEditOutput) -> Tensor:
    assert isinstance(output.images, Tensor)
    return output.images


def clean_of(output: MAGEditOutput) -> Tensor:
    return output.inversion.inverted.latents[-1]


def inputs(pipe: MAGEditPipeline, rows: int = 1) -> tuple[Tensor, Conditioning]:
    side = pipe.latent_side
    latent = torch.randn(rows, 4, side, side, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        return latent, pipe.encode("a room with a red sofa").expand(rows)


def test_an_edit_that_changes_nothing_ends_at_the_picture(pipe: MAGEditPipeline, small_room: Room) -> None:
    """Without guidance, of the same prompt, direct inversion takes each inverted step back exactly."""
    same = {"method": "p2p", "guidance_scale": 1.0, "blend_fraction": 0.0, "cross_replace": 0.0, "self_replace": 0.0}
    exact = edit(pipe, small_room, small_room.source, **same)
    assert relative(latent_of(exact), clean_of(exact)) < ROUNDING
    drifting = edit(pipe, small_room, small_room.source, inversion="ddim", **same)
    assert relative(latent_of(drifting), clean_of(drifting)) > 10 * ROUNDING


def test_the_source_is_reconstructed_exactly_beside_an_edit(pipe: MAGEditPipeline, small_room: Room) -> None:
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
    output = edit(half, small_room)
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
def test_what_makes_sense_edits_and_the_rest_is_refused(
    pipe: MAGEditPipeline, small_room: Room, given: dict[str, Any]
) -> None:
    if given in WITH_UNCONDITIONAL and "unconditional" not in pipe.backbone.traits:
        with pytest.raises(InvalidEdit, match="is told its guidance scale"):
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
def test_what_makes_no_sense_is_refused_with_the_reason(
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


def test_an_edit_by_flow_leaves_what_a_soft_mask_holds_back_as_the_picture_is(
    pipe: MAGEditPipeline, small_room: Room
) -> None:
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


# --- Stable Diffusion 3 ---


@pytest.fixture(scope="module")
def own(sd3: Path) -> StableDiffusion3Pipeline:
    """diffusers' own pipeline."""
    return StableDiffusion3Pipeline.from_pretrained(sd3)


def test_sd3_encodes_as_diffusers_does(sd3: Path, own: StableDiffusion3Pipeline) -> None:
    backbone = MAGEditPipeline.from_pretrained(sd3).backbone
    with torch.no_grad():
        for prompt in ("a room with a red sofa", ""):
            told = backbone.encode(prompt)
            states, _, pooled, _ = own.encode_prompt(
                prompt, None, None, do_classifier_free_guidance=False, max_sequence_length=T5_TOKENS
            )
            torch.testing.assert_close(told.hidden_states, states)
            torch.testing.assert_close(told.pooled, pooled)
    assert states.shape[1] == backbone.text_columns == 77 + T5_TOKENS


def test_sd3_samples_as_diffusers_does(sd3: Path, own: StableDiffusion3Pipeline) -> None:
    backbone = MAGEditPipeline.from_pretrained(sd3).backbone
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    prompt = "a room with a red sofa"
    own.set_progress_bar_config(disable=True)
    wanted = own(
        prompt, latents=noise, num_inference_steps=3, guidance_scale=1.0, output_type="latent",
        max_sequence_length=T5_TOKENS, height=128, width=128,
    ).images  # fmt: skip
    process, latent = backbone.process(3), noise
    with torch.no_grad():
        told = backbone.encode(prompt)
        for t in process.timesteps:
            latent = process.step(backbone.predict(latent, t, told), t, latent)
    torch.testing.assert_close(latent, wanted, rtol=1e-4, atol=1e-4)


def test_sd3_words_have_the_columns_of_clip_and_of_t5(sd3: Path) -> None:
    backbone: Any = MAGEditPipeline.from_pretrained(sd3).backbone
    prompt = "a room with a red sofa"
    encoded = backbone.tokenize(prompt)
    columns = token_indices(prompt, encoded, "sofa")
    ids = backbone.tokenizer_3(prompt).input_ids
    piece = backbone.tokenizer_3.convert_tokens_to_ids("▁sofa")
    assert 77 + ids.index(piece) in columns
    assert any(column < 77 for column in columns)
    assert encoded.ids[77 : 77 + len(ids)] == tuple(ids)


@pytest.mark.parametrize("length", [T5_TOKENS, 0])
def test_sd3_without_t5(tmp_path: Path, small_room: Room, length: int) -> None:
    """Zeros stand in T5's columns, or nothing where the checkpoint says so."""
    folder = write_sd3(tmp_path / "checkpoint", t5=False)
    pipe = MAGEditPipeline.from_pretrained(folder, max_sequence_length=length)
    pipe.set_progress_bar_config(disable=True)
    with torch.no_grad():
        states = pipe.backbone.encode("a room").hidden_states
    assert states.shape[1] == 77 + length
    assert not states[:, 77:].any()
    assert torch.isfinite(latent_of(edit(pipe, small_room))).all()


def test_sd3_does_not_load_a_t5_that_its_index_leaves_out(tmp_path: Path) -> None:
    folder = write_sd3(tmp_path / "checkpoint")
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace(f'"max_sequence_length": {T5_TOKENS}', '"max_sequence_length": 0'))
    backbone: Any = MAGEditPipeline.from_pretrained(folder).backbone
    assert backbone.text_encoder_3 is None
    assert backbone.text_columns == 77


def test_sd3_with_a_second_attention_in_its_blocks(tmp_path: Path, small_room: Room) -> None:
    folder = write_sd3(tmp_path / "checkpoint", dual_attention_layers=(0, 1))
    pipe = MAGEditPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    assert torch.isfinite(latent_of(edit(pipe, small_room))).all()


@pytest.mark.parametrize("defaults", [{"stepps": 3}, {"steps": 1}, {"p2p": {"guidance_scale": -1}}])
def test_defaults_that_are_no_parameters_are_refused(sd3: Path, defaults: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="edit_defaults"):
        MAGEditPipeline.from_pretrained(sd3, edit_defaults=defaults)


# --- FLUX ---


def test_flux_encodes_as_diffusers_does(flux: Path) -> None:
    backbone: Any = MAGEditPipeline.from_pretrained(flux).backbone
    own = FluxPipeline.from_pretrained(flux)
    with torch.no_grad():
        told = backbone.encode("a room with a red sofa")
        states, pooled, _ = own.encode_prompt("a room with a red sofa", None, max_sequence_length=T5_TOKENS)
    torch.testing.assert_close(told.hidden_states, states)
    torch.testing.assert_close(told.pooled, pooled)


def test_flux_samples_as_diffusers_does(flux: Path) -> None:
    """Packed latents, rotary positions, a schedule shifted by the picture's size, and the guidance that it is told."""
    backbone: Any = MAGEditPipeline.from_pretrained(flux).backbone
    own = FluxPipeline.from_pretrained(flux)
    own.set_progress_bar_config(disable=True)
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    prompt = "a room with a red sofa"
    wanted = own(
        prompt, latents=own._pack_latents(noise, 1, 4, 16, 16), num_inference_steps=3, guidance_scale=4.0,
        output_type="latent", max_sequence_length=T5_TOKENS, height=128, width=128,
    ).images  # fmt: skip
    process, latent = backbone.process(3), noise
    with torch.no_grad():
        told = backbone.encode(prompt).guided(4.0)
        for t in process.timesteps:
            latent = process.step(backbone.predict(latent, t, told), t, latent)
    torch.testing.assert_close(own._pack_latents(latent, 1, 4, 16, 16), wanted, rtol=1e-4, atol=1e-4)


def test_flux_is_told_the_edits_guidance_and_none_while_inverting(flux: Path, small_room: Room) -> None:
    pipe = MAGEditPipeline.from_pretrained(flux)
    pipe.set_progress_bar_config(disable=True)
    told: list[float] = []

    def note(_module: Any, _inputs: Any, named: dict[str, Any]) -> None:
        told.append(float(named["guidance"][0]))

    pipe.network.register_forward_pre_hook(note, with_kwargs=True)
    edit(pipe, small_room, method="p2p", guidance_scale=6.0)
    assert told == [1.0] * 4 + [6.0] * 4


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"guidance_embeds": False}, "distilled to a few steps without guidance"),
        ({"in_channels": 96}, "takes further pictures as input"),
    ],
)
def test_flux_of_another_purpose_is_refused(tmp_path: Path, config: dict[str, Any], reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason):
        MAGEditPipeline.from_pretrained(write_flux(tmp_path / "checkpoint", **config))
