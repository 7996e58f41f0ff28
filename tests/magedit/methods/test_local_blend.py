"""LocalBlend: where the words look, dilated; the source everywhere else."""

from __future__ import annotations

from dataclasses import replace

import torch

from magedit.config import EditConfig
from magedit.methods.local_blend import LocalBlend
from tests.magedit.methods.conftest import Trained, cells, clean_of, latent_of


def maps(position: int) -> dict[str, torch.Tensor]:
    """Two heads of an 8x8 layer whose token 1 looks at ``position`` alone, token 2 everywhere."""
    made = torch.zeros(2, 64, 3)
    made[:, position, 1] = 1
    made[:, :, 2] = 1
    return {"layer": made}


def test_the_mask_is_where_either_prompts_word_looks() -> None:
    blend = LocalBlend([1], [1], 0.3, steps=10)
    blend.add(maps(0), maps(63))
    mask = blend.mask(16)
    # 2x2 positions of 8x8 around each corner: 4x4 cells of 16x16.
    assert mask[:4, :4].min() == mask[12:, 12:].min() == 1
    assert mask.sum() == 2 * 16


def test_a_prompt_without_the_word_has_no_part_in_it() -> None:
    blend = LocalBlend([], [1], 0.3, steps=10)
    blend.add(maps(0), maps(63))
    assert blend.mask(8)[:4].sum() == 0


def test_the_edit_counts_inside_from_a_fifth_of_the_steps_on() -> None:
    blend = LocalBlend([], [1], 0.3, steps=10)
    blend.add(maps(0), maps(0))
    edit, source = torch.ones(1, 4, 8, 8), torch.zeros(1, 4, 8, 8)
    assert torch.equal(blend.blend(1, edit, source), edit)
    assert blend.blend(2, edit, source)[0, 0].sum() == 4


def test_the_words_of_a_trained_model_keep_the_rest_of_the_picture(trained: Trained) -> None:
    config = EditConfig(method="p2p", steps=10, blend_fraction=0.0)
    outside = cells(trained.mask, 16) == 0
    kept = []
    for threshold in (None, 0.3):
        output = trained.edit(replace(config, local_blend=threshold))
        same = (latent_of(output) == clean_of(output)).all(1)[0]
        kept.append(float(same[outside].float().mean()))
        assert not same[~outside].all()
    assert kept[0] == 0
    assert kept[1] > 0.3


def test_a_removal_is_blended_where_the_thing_was(trained: Trained) -> None:
    """The words that fill the place (here *room*) look everywhere; where the edit may differ, say those left out."""
    target = trained.source.removesuffix(" and a red carpet")
    assert target != trained.source
    config = EditConfig(method="p2p", steps=10, blend_fraction=0.0, local_blend=0.3)
    output = trained.edit(config, target=target)
    changed = (latent_of(output) != clean_of(output)).any(1)[0].float()
    carpet = cells(trained.mask, 16) == 1
    assert changed[carpet].mean() > 0.8
    assert changed[~carpet].mean() < 0.5
