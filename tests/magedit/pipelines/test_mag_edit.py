"""The pipeline: loading, checking, editing, leaving everything as it was."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image, ImageChops, ImageDraw
from torch import Tensor

from magedit.config import EditConfig, InversionName, MethodName, Region
from magedit.demo import checkpoint_path
from magedit.errors import (
    EditCanceled,
    EditDiverged,
    EmptyMask,
    InvalidBox,
    InvalidEdit,
    MaskMismatch,
    NothingToGuide,
    NotTogether,
    PromptNotSupported,
    PromptTooLong,
    RegionMismatch,
    WordNotFound,
)
from magedit.images.masks import outside_difference, outside_sha256, paste_margin_px, read_mask, union, working_crop
from magedit.images.transparency import flatten
from magedit.measures.report import Progress, Stage
from magedit.methods.registry import METHODS
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.prompts.kinds import config_for
from tests.magedit.conftest import FOR_DIFFUSION, Room, load_pipeline
from tests.magedit.pipelines.quick import QUICK, QUICK_GIVEN, run


@pytest.mark.parametrize(
    ("method", "inversion"),
    [(name, each) for name in FOR_DIFFUSION for each in METHODS[name].inversions or ("direct",)],
)
def test_every_method_edits_with_every_inversion_that_it_takes(
    pipe: MAGEditPipeline, room: Room, method: MethodName, inversion: InversionName
) -> None:
    config = replace(QUICK, method=method, inversion=inversion)
    output = run(pipe, room, config)
    assert isinstance(output.images, list)
    (result,) = output.images
    radius = output.measures.paste_margin_px
    assert radius == paste_margin_px(output.measures.crop, config.paste_margin)
    assert result.size == room.image.size
    assert output.measures.outside_difference == 0
    assert outside_difference(room.image, result, room.mask, radius) == 0
    assert ImageChops.difference(room.image, result).getbbox() is not None
    assert output.measures.unet_truncated_forward >= (2 if method == "mag-edit" else 0)
    assert output.measures.unet_backward >= (2 if method == "mag-edit" else 0)
    assert len(output.measures.trace) == config.measured_steps
    assert len(output.attention) == 1
    assert output.attention[0].shape == (8, 8)
    assert len(output.attention_steps) == config.measured_steps
    assert torch.allclose(torch.stack([step[0] for step in output.attention_steps]).mean(0), output.attention[0])


@pytest.mark.parametrize("method", ["p2p", "diffedit", "blended-latent", "sine"])
def test_a_soft_mask_limits_weak_pixels_and_keeps_those_of_strength_0(
    pipe: MAGEditPipeline, room: Room, method: MethodName
) -> None:
    ramp = Image.linear_gradient("L").rotate(90).resize(room.mask.size)
    soft = ImageChops.multiply(room.mask, ramp)
    config = replace(QUICK, method=method, steps=8)
    strong = run(pipe, room, config)
    output = pipe(room.image, [soft], room.source, room.target, (), replace(config, mask_softness="strength"))
    assert isinstance(output.images, list)
    untouched = np.asarray(soft) == 0
    assert np.array_equal(np.asarray(output.images[0])[untouched], np.asarray(room.image)[untouched])
    assert output.measures.outside_difference == output.measures.paste_margin_px == 0
    latents, hard = output.edited[0].latent, strong.edited[0].latent
    assert latents.shape == hard.shape
    assert not torch.equal(latents, hard)


@pytest.mark.parametrize("method", ["mag-edit", "blended-latent"])
def test_a_soft_mask_of_full_strength_equals_a_hard_one(pipe: MAGEditPipeline, room: Room, method: MethodName) -> None:
    config = replace(QUICK, method=method)
    hard, soft = (
        run(pipe, room, replace(config, mask_softness=softness), output_type="latent").images
        for softness in ("none", "strength")
    )
    assert torch.equal(cast("Tensor", hard), cast("Tensor", soft))


def test_without_softness_grey_is_black_or_white(pipe: MAGEditPipeline, room: Room) -> None:
    grey = room.mask.point(lambda value: 200 if value else 90)
    assert isinstance((plain := run(pipe, room).images), list)
    assert isinstance((images := pipe(room.image, [grey], room.source, room.target, (), QUICK).images), list)
    assert plain[0].tobytes() == images[0].tobytes()


def test_a_mask_may_be_data(pipe: MAGEditPipeline, room: Room) -> None:
    assert isinstance((plain := run(pipe, room).images), list)
    shape = {"box": [60, 140, 91, 61]}  # Pillow draws the rectangle's last pixels too
    assert isinstance((images := pipe(room.image, shape, room.source, room.target, (), QUICK).images), list)
    assert plain[0].tobytes() == images[0].tobytes()
    for wrong, kind in (
        ({"box": [300, 0, 5, 5]}, InvalidBox),
        ({"upload": 0}, InvalidEdit),
        ({"box": [0, 0, 5, 5], "feather": 3}, NotTogether),
    ):
        with pytest.raises(kind):
            pipe(room.image, [wrong], room.source, room.target, (), QUICK)


@pytest.mark.parametrize("constraint", ["token", "spatial", "both"])
def test_guidance_raises_the_ratio_that_it_maximises(pipe: MAGEditPipeline, room: Room, constraint: Any) -> None:
    config = EditConfig(steps=6, max_iterations=6, guidance_step_size=2.0, strength=1.0, constraint=constraint)
    guided = run(pipe, room, config)
    plain = run(pipe, room, replace(config, method="p2p"), inversion=guided.inversion)
    token = guided.measures.after[0].token - plain.measures.after[0].token
    spatial = guided.measures.after[0].spatial - plain.measures.after[0].spatial
    assert (token if constraint == "token" else spatial) > 1e-3


@pytest.mark.parametrize("size", [(256, 256), (400, 300), (90, 130), (900, 120)])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_any_size_comes_back_in_its_own_size(pipe: MAGEditPipeline, size: tuple[int, int], mode: str) -> None:
    image = Image.effect_noise(size, 60).convert(mode)
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rectangle((size[0] // 2, size[1] // 2, size[0] // 2 + 20, size[1] // 2 + 20), fill=255)
    output = pipe(image, [mask], "a sofa", "a red sofa", (), replace(QUICK, method="p2p", steps=2))
    assert isinstance(output.images, list)
    assert output.images[0].size == size
    assert output.images[0].mode == ("RGBA" if mode == "RGBA" else "RGB")
    before, after = image.convert("RGB"), output.images[0].convert("RGB")
    assert outside_difference(before, after, mask, output.measures.paste_margin_px) == 0
    # Of the result as it comes back, alpha included: what the caller can compute from the picture sent.
    sent = image.convert(output.images[0].mode)
    for picture in (sent, output.images[0]):
        untouched = outside_sha256(picture, mask, output.measures.paste_margin_px)
        assert output.measures.results[0].outside_sha256 == untouched
    assert output.measures.crop == working_crop(mask, 256, QUICK.crop_context)


def test_regions_have_their_own_masks_and_words(pipe: MAGEditPipeline, room: Room) -> None:
    other = Image.new("L", room.image.size)
    ImageDraw.Draw(other).rectangle((170, 30, 220, 80), fill=255)
    output = pipe(
        room.image,
        [room.mask, other],
        "a room with a red sofa and a lamp",
        "a room with a green sofa and a yellow lamp",
        [Region(words=("green",)), Region(words=("yellow", "lamp"), negative_words=("sofa",), weight=0.5)],
        QUICK,
    )
    assert output.measures.words == (("green",), ("yellow", "lamp"))
    assert len(output.measures.after) == len(output.attention) == 2
    assert isinstance(output.images, list)
    both = union([room.mask, other])
    assert outside_difference(room.image, output.images[0], both, output.measures.paste_margin_px) == 0


def test_a_mask_one_pixel_wide_is_edited_without_nan(pipe: MAGEditPipeline, room: Room) -> None:
    mask = Image.new("L", room.image.size)
    ImageDraw.Draw(mask).line((101, 20, 101, 220), fill=255)
    output = run(pipe, replace(room, mask=mask))
    assert 0 < output.measures.after[0].token < 1


def test_edits_are_deterministic_and_reuse_inversions(pipe: MAGEditPipeline, room: Room) -> None:
    first = run(pipe, room)
    again = run(pipe, room)
    reused = run(pipe, room, inversion=first.inversion)
    for other in (again, reused):
        assert isinstance(first.images, list)
        assert isinstance(other.images, list)
        assert first.images[0].tobytes() == other.images[0].tobytes()
    assert Stage.INVERT not in reused.measures.stage_seconds
    assert reused.measures.unet_forward == first.measures.unet_forward - QUICK.steps


def test_edit_after_edit_leaves_no_tensor_behind(pipe: MAGEditPipeline, room: Room) -> None:
    def living() -> int:
        gc.collect()
        return sum(1 for each in gc.get_objects() if type(each) is torch.Tensor)

    quick = replace(QUICK, steps=2, max_iterations=3)
    run(pipe, room, quick)
    before = living()
    for _ in range(4):
        run(pipe, room, quick)
    assert living() == before


def test_fresh_noise_comes_from_the_seed(pipe: MAGEditPipeline, room: Room) -> None:
    config = replace(QUICK, method="p2p", eta=1.0)
    latents = [
        run(pipe, room, replace(config, seed=seed), output_type="latent", generator=generator).images
        for seed, generator in ((1, None), (1, None), (2, None), (0, torch.Generator().manual_seed(1)))
    ]
    assert all(isinstance(latent, torch.Tensor) for latent in latents)
    assert torch.equal(latents[0], latents[1])  # type: ignore[arg-type]
    assert torch.equal(latents[0], latents[3])  # type: ignore[arg-type]
    assert not torch.equal(latents[0], latents[2])  # type: ignore[arg-type]


def test_progress_is_reported_after_every_pass_and_only_grows(pipe: MAGEditPipeline, room: Room) -> None:
    reports: list[Progress] = []
    output = run(pipe, room, on_progress=reports.append)
    measures = output.measures
    passes = measures.unet_forward + measures.unet_truncated_forward + measures.unet_backward
    assert len(reports) >= passes
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)
    assert list(dict.fromkeys(report.stage for report in reports)) == [
        Stage.PREPARE,
        Stage.INVERT,
        Stage.EDIT,
        Stage.DECODE,
    ]


@pytest.mark.parametrize(
    ("size", "selected"),
    [
        ((1600, 1200), [(700, 100, 701, 1100)]),  # a lamp post, one pixel wide
        ((301, 1999), [(300, 1998, 301, 1999)]),  # one pixel in the corner
        ((17, 900), [(0, 0, 1, 1), (16, 899, 17, 900)]),  # two, as far apart as they can be
        ((40, 30), [(20, 15, 21, 16)]),
    ],
)
def test_odd_pictures_and_thin_masks(
    pipe: MAGEditPipeline, room: Room, size: tuple[int, int], selected: list[tuple[int, int, int, int]]
) -> None:
    image = Image.effect_noise(size, 60).convert("RGB")
    mask = Image.new("L", size)
    for box in selected:
        mask.paste(255, box)
    output = pipe(image, [mask], room.source, room.target, (), QUICK)
    (result,) = output.images
    assert result.size == size
    assert outside_difference(image, result, mask, output.measures.paste_margin_px) == 0
    (ratios,) = output.measures.after
    assert 0 < ratios.token < 1
    assert 0 < ratios.spatial < 1
    assert output.measures.trace[0].losses[0] > 0


def test_the_alpha_of_a_picture_comes_back(pipe: MAGEditPipeline, room: Room) -> None:
    image = room.image.convert("RGBA")
    image.putalpha(Image.linear_gradient("L").point(lambda v: min(255, 2 * v)))
    (result,) = pipe(image, [room.mask], room.source, room.target, (), QUICK).images
    (flat,) = pipe(flatten(image), [room.mask], room.source, room.target, (), QUICK).images
    assert result.getchannel("A").tobytes() == image.getchannel("A").tobytes()
    assert np.asarray(ImageChops.difference(flatten(result), flat)).max() <= 1
    assert result.crop((0, 0, 256, 100)).tobytes() == image.crop((0, 0, 256, 100)).tobytes()


@pytest.mark.parametrize("stop_at", [Stage.INVERT, Stage.EDIT])
def test_a_canceled_edit_restores_the_unet(pipe: MAGEditPipeline, room: Room, stop_at: Stage) -> None:
    before = dict(pipe.unet.attn_processors)
    flags = [parameter.requires_grad for parameter in pipe.unet.parameters()]

    def cancel(progress: Progress) -> None:
        if progress.stage == stop_at and progress.step == 1:
            raise EditCanceled("stop")

    with pytest.raises(EditCanceled):
        run(pipe, room, on_progress=cancel)
    assert pipe.unet.attn_processors == before
    assert [parameter.requires_grad for parameter in pipe.unet.parameters()] == flags
    assert torch.is_grad_enabled()


def test_the_step_callback_follows_diffusers_convention(pipe: MAGEditPipeline, room: Room) -> None:
    steps: list[tuple[int, int]] = []

    def clear(owner: MAGEditPipeline, step: int, timestep: int, state: dict[str, Any]) -> dict[str, Any]:
        assert owner is pipe
        steps.append((step, timestep))
        return {"latents": torch.zeros_like(state["latents"])}

    output = run(pipe, room, callback_on_step_end=clear, output_type="latent")
    assert steps == [(0, 751), (1, 501), (2, 251), (3, 1)]
    assert isinstance(output.images, torch.Tensor)
    assert not output.images.any()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"masks": []}, MaskMismatch),
        ({"masks": [Image.new("L", (10, 10), 255)]}, MaskMismatch),
        ({"masks": [Image.new("L", (256, 256))]}, EmptyMask),
        ({"regions": [Region(), Region()]}, RegionMismatch),
        ({"regions": [Region(words=("purple",))]}, WordNotFound),
        ({"target_prompt": "red " * 90}, PromptTooLong),
        ({"target_prompt": "a room with a red sofa"}, NothingToGuide),
        ({"config": replace(QUICK, method="blended-latent", inversion="null-text")}, NotTogether),
        ({"config": replace(QUICK, method="magicbrush")}, NotTogether),
    ],
)
def test_invalid_input_fails_before_any_work(
    pipe: MAGEditPipeline, room: Room, change: dict[str, Any], error: type[Exception]
) -> None:
    arguments: dict[str, Any] = {
        "image": room.image,
        "masks": [room.mask],
        "source_prompt": room.source,
        "target_prompt": room.target,
        "config": QUICK,
    }
    stages: list[Stage] = []
    with pytest.raises(error):
        pipe(**(arguments | change), on_progress=lambda progress: stages.append(progress.stage))
    assert Stage.INVERT not in stages


def test_words_that_the_checkpoint_does_not_know_are_refused(room: Room) -> None:
    demo = MAGEditPipeline.from_pretrained(checkpoint_path())
    with pytest.raises(PromptNotSupported, match="crimson") as caught:
        run(demo, replace(room, target="a room with a crimson sofa"))
    assert (caught.value.field, caught.value.values) == ("target_prompt", {"unknown_words": ["crimson"]})


def test_a_latent_that_is_lost_fails_the_edit(room: Room) -> None:
    broken = load_pipeline()
    broken.unet.conv_out.bias.data[0] = float("nan")
    with pytest.raises(EditDiverged, match="no longer finite after sampling"):
        run(broken, room, replace(QUICK, method="p2p"))


def test_how_well_the_unedited_picture_comes_back_is_measured(pipe: MAGEditPipeline, room: Room) -> None:
    direct, ddim = (run(pipe, room, replace(QUICK, inversion=name)).measures for name in ("direct", "ddim"))
    assert direct.reconstruction is not None
    assert ddim.reconstruction is not None
    # Direct inversion is exact: nothing is lost behind the VAE.
    assert direct.reconstruction.vae == direct.reconstruction.inversion == ddim.reconstruction.vae
    assert 0 < ddim.reconstruction.inversion != ddim.reconstruction.vae
    assert direct.results[0].inside_difference is not None


def test_weights_in_the_prompt_are_its_equalizer(pipe: MAGEditPipeline, room: Room) -> None:
    word = room.target.split(" ")[1]
    weighted = replace(room, target=room.target.replace(word, f"({word}:1.5)", 1))
    of_prompt = run(pipe, weighted, prompt_syntax="a1111", output_type="latent")
    of_config = run(pipe, room, EditConfig(**QUICK_GIVEN, equalizer={word: 1.5}), output_type="latent")
    assert torch.equal(cast("Tensor", of_prompt.images), cast("Tensor", of_config.images))


def test_an_unsure_reading_is_a_warning(pipe: MAGEditPipeline, room: Room) -> None:
    with pytest.warns(UserWarning, match="another order"):
        pipe(room.image, room.mask, "a room with a sofa", "a sofa with a room", (), QUICK)


def test_a_resolved_edit_is_carried_out_as_the_call_does_it(pipe: MAGEditPipeline, room: Room) -> None:
    called = pipe(room.image, [room.mask], room.source, room.target, (), EditConfig(steps=2, max_iterations=1))
    assert called.measures.words
    config = config_for(room.source, room.target, steps=2, max_iterations=1)
    regions = [Region(words=words) for words in called.measures.words]
    trusted = pipe.edit(room.image, [read_mask(room.mask, "white")], room.source, room.target, regions, config)
    assert trusted.images[0].tobytes() == called.images[0].tobytes()  # type: ignore[union-attr]
