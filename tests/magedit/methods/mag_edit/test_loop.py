"""MAG-Edit: what its guidance costs, and that it is Prompt-to-Prompt without it."""

from __future__ import annotations

from dataclasses import replace

import torch
from PIL import Image, ImageChops, ImageDraw

from magedit.config import EditConfig, MethodName, Region
from magedit.images.masks import outside_difference, union
from magedit.pipelines.mag_edit import MAGEditOutput, MAGEditPipeline
from tests.magedit.conftest import Room

CONFIG = EditConfig(steps=6, max_iterations=2, strength=1.0)


# A word that both prompts have keeps its own maps while it is guided, so that only new ones leave P2P as it is.
NEW = (Region(words=("green",)),)


def test_without_push_it_is_prompt_to_prompt(pipe: MAGEditPipeline, room: Room) -> None:
    latents = [
        pipe(room.image, [room.mask], room.source, room.target, NEW, config, output_type="latent").images
        for config in (
            replace(CONFIG, guidance_step_size=0.0),
            replace(CONFIG, method="p2p"),
            replace(CONFIG, strength=0.0),
        )
    ]
    assert torch.equal(latents[0], latents[1])  # type: ignore[arg-type]
    assert torch.equal(latents[1], latents[2])  # type: ignore[arg-type]


def test_guidance_costs_one_truncated_and_one_backward_pass_an_iteration(pipe: MAGEditPipeline, room: Room) -> None:
    measures = pipe(room.image, [room.mask], room.source, room.target, (), CONFIG).measures
    guided = 3 * 2
    assert measures.unet_backward == guided
    assert measures.unet_truncated_forward == guided + 5
    assert measures.unet_forward == 6 + 6
    assert [step.iterations for step in measures.trace] == [2, 2, 2]
    assert [len(step.losses) for step in measures.trace] == [2, 2, 2]


def test_words_that_stand_out_end_a_steps_guidance(pipe: MAGEditPipeline, room: Room) -> None:
    contrasts = 1e-3, 100.0
    at_once, never = (
        pipe(room.image, [room.mask], room.source, room.target, (), replace(CONFIG, stop_contrast=each)).measures
        for each in contrasts
    )
    assert [step.iterations for step in at_once.trace] == [0, 0, 0]
    assert at_once.unet_backward == 0
    assert [step.iterations for step in never.trace] == [2, 2, 2]


def test_guidance_leaves_leading_steps_out(pipe: MAGEditPipeline, room: Room) -> None:
    config = replace(CONFIG, guided_from=0.34)
    measures = pipe(room.image, [room.mask], room.source, room.target, (), config).measures
    assert [step.iterations for step in measures.trace] == [0, 0, 2]
    assert measures.unet_backward == 2


def test_words_that_both_prompts_share_can_be_guided_unless_their_maps_are_injected(
    pipe: MAGEditPipeline, room: Room
) -> None:
    config = replace(CONFIG, max_iterations=6)
    regions = [Region(words=("sofa",))]
    gains = []
    for inject in (False, True):
        chosen = replace(config, inject_edit_words=inject)
        measures = pipe(room.image, [room.mask], room.source, room.target, regions, chosen).measures
        gains.append(measures.after[0].token - measures.before[0].token)
    assert gains[0] > 1e-3
    assert gains[1] < gains[0] / 10


def test_maps_that_are_injected_whole_are_left_as_they_are(pipe: MAGEditPipeline, room: Room) -> None:
    # The target only leaves a word out: all of its maps are the source's, and no gradient leads to the latent.
    config = replace(CONFIG, inject_edit_words=True)
    measures = pipe(
        room.image, [room.mask], room.source, "a room with a sofa", [Region(words=("sofa",))], config
    ).measures
    assert [step.iterations for step in measures.trace] == [0, 0, 0]
    assert measures.unet_backward == 0
    assert measures.before[0] == measures.after[0]


def test_more_strength_pushes_further(pipe: MAGEditPipeline, room: Room) -> None:
    ratios = [
        pipe(room.image, [room.mask], room.source, room.target, NEW, replace(CONFIG, max_iterations=8, strength=s))
        .measures.after[0]
        .token
        for s in (0.0, 0.3, 1.0)
    ]
    assert ratios == sorted(ratios)
    assert ratios[2] > ratios[0]


def test_two_regions_that_overlap_both_change_and_each_follows_its_own_strength(
    pipe: MAGEditPipeline, room: Room
) -> None:
    other = Image.new("L", room.image.size)
    ImageDraw.Draw(other).rectangle((120, 100, 220, 160), fill=255)
    source, target = "a room with a red sofa and a lamp", "a room with a green sofa and a yellow lamp"
    config = EditConfig(steps=6, max_iterations=6, guidance_step_size=2.0)

    def edit(weight: float, method: MethodName = "mag-edit") -> MAGEditOutput:
        regions = [Region(words=("green",)), Region(words=("yellow",), weight=weight)]
        return pipe(room.image, [room.mask, other], source, target, regions, replace(config, method=method))

    plain, weak, full = edit(1.0, "p2p"), edit(0.1), edit(1.0)
    gains = [
        [
            guided.token - unguided.token
            for guided, unguided in zip(each.measures.after, plain.measures.after, strict=True)
        ]
        for each in (weak, full)
    ]
    assert min(gains[0][0], *gains[1]) > 1e-4
    assert gains[1][1] > 2 * gains[0][1]
    assert isinstance(full.images, list)
    both = union([room.mask, other])
    assert outside_difference(room.image, full.images[0], both, full.measures.paste_margin_px) == 0
    for mask in (room.mask, other):
        changed = ImageChops.difference(room.image, full.images[0]).crop(mask.getbbox())
        assert changed.getbbox() is not None
