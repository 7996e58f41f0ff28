"""Words as targets, and what LocalBlend unites."""

from __future__ import annotations

import pytest
import torch

from magedit.backbones.base import AttentionSite
from magedit.config import EditConfig, Region
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.pipelines.plan import blend_tokens, word_targets


def test_each_word_of_each_region_is_a_target_with_its_regions_mask(pipe: MAGEditPipeline) -> None:
    prompt = "a red sofa and a green lamp"
    masks = [torch.zeros(256, 256), torch.zeros(256, 256)]
    masks[0][:32] = 1
    masks[1][:, :64] = 1
    regions = [Region(words=("red", "sofa")), Region(words=("green",), negative_words=("red",), weight=0.5)]
    layers = [AttentionSite("a", "cross", 8), AttentionSite("b", "cross", 16)]
    targets = word_targets(prompt, pipe.tokenize(prompt), regions, masks, layers, EditConfig())
    assert [(t.region, t.tokens, t.weight, t.negative) for t in targets] == [
        (0, (2,), 1.0, False),
        (0, (3,), 1.0, False),
        (1, (6,), 0.5, False),
        (1, (2,), 0.5, True),
    ]
    # a, and, a, lamp: what no word of the region names, between the prompt's begin and end.
    assert targets[0].rivals == targets[1].rivals == (1, 4, 5, 6, 7)
    assert targets[2].rivals == (1, 3, 4, 5, 7)
    assert targets[0].masks[8].sum() == 8
    assert targets[2].masks[16].sum() == 4 * 16


@pytest.mark.parametrize(
    ("source", "target", "words", "original", "new"),
    [
        ("a room with a red sofa", "a room with a green sofa", ("green",), ["red"], ["green"]),
        ("a room with a red sofa", "a room with a green sofa", ("sofa",), ["sofa"], ["sofa"]),
        ("a room with a sofa", "a room with a green sofa", ("green",), [], ["green"]),
        # A removal: the wall fills the place, but it is the lamp that there is something to change at.
        ("a wall and a red lamp", "a wall", ("wall",), ["red", "lamp"], []),
        ("a wall, a red lamp and a sofa", "a wall and a sofa", (), ["red", "lamp"], []),
        ("a sofa and a lamp", "a sofa, a lamp", ("sofa",), ["sofa"], ["sofa"]),
    ],
)
def test_local_blend_unites_the_original_and_the_new_word(
    pipe: MAGEditPipeline, source: str, target: str, words: tuple[str, ...], original: list[str], new: list[str]
) -> None:
    encoded = {prompt: pipe.tokenize(prompt) for prompt in (source, target)}
    layers, mask = [AttentionSite("a", "cross", 8)], [torch.ones(256, 256)]
    targets = word_targets(target, encoded[target], [Region(words=words)], mask, layers, EditConfig())
    found = blend_tokens(source, encoded[source], encoded[target], targets)
    named = [
        [prompt[slice(*encoded[prompt].offsets[token])] for token in tokens]
        for prompt, tokens in zip((source, target), found, strict=True)
    ]
    assert named == [original, new]
