"""Joint attention: word maps and injections are those of the whole map, which is never formed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from magedit.backbones import joint_attention
from magedit.backbones.base import AttentionEdit, Kept, pair_name
from magedit.backbones.joint_attention import Projected, attend

POSITIONS, COLUMNS, WIDTH = 12, 5, 8
ROUNDING = 1e-5


def projected(batch: int = 2) -> Projected:
    generator = torch.Generator().manual_seed(3)
    lengths = (POSITIONS,) * 3 + (COLUMNS,) * 3
    return Projected(*(torch.randn(batch, 2, length, WIDTH, generator=generator) for length in lengths))


def whole(p: Projected) -> tuple[Tensor, Tensor]:
    """The whole map of the picture's rows, and the values, in one sequence."""
    key, value = torch.cat([p.key, p.text_key], 2), torch.cat([p.value, p.text_value], 2)
    return (p.query @ key.transpose(-1, -2) * WIDTH**-0.5).softmax(-1), value


def apply(p: Projected, edit: AttentionEdit) -> tuple[Tensor, Tensor, Kept]:
    kept: Kept = {}
    image, text = attend(p, "layer", edit, (kept,))
    return image, text, kept


@pytest.mark.parametrize("scores", [joint_attention.SCORES, 60])
def test_a_word_map_is_the_texts_columns_of_the_whole_map(scores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint_attention, "SCORES", scores)
    p = projected()
    image, _, kept = apply(p, AttentionEdit(read=True))
    maps, value = whole(p)
    torch.testing.assert_close(kept["layer"], maps[1, :, :, POSITIONS:], rtol=ROUNDING, atol=ROUNDING)
    torch.testing.assert_close(image, maps @ value, rtol=ROUNDING, atol=ROUNDING)


def test_the_gradient_of_a_word_map_does_not_depend_on_how_it_is_formed(monkeypatch: pytest.MonkeyPatch) -> None:
    p = projected(1)
    gradients: list[Tensor] = []
    for scores in (joint_attention.SCORES, 60):
        monkeypatch.setattr(joint_attention, "SCORES", scores)
        p.query.requires_grad_(True)
        maps = joint_attention.word_maps(p, AttentionEdit(read=True))
        gradients += torch.autograd.grad(maps.square().sum(), p.query)
    torch.testing.assert_close(*gradients, rtol=ROUNDING, atol=ROUNDING)
    assert gradients[0].abs().max() > 0


def test_source_columns_are_injected_only_into_conditional_rows() -> None:
    p = projected()
    plain, plain_text, _ = apply(p, AttentionEdit())
    base, share = torch.rand(2, POSITIONS, COLUMNS), torch.tensor([0.0, 1.0, 0.5, 1.0, 0.0])
    image, text, kept = apply(p, AttentionEdit(base=base, share=share, read=True))
    maps, value = whole(p.rows(slice(1, 2)))
    wanted = torch.cat([maps[..., :POSITIONS], base + share * maps[..., POSITIONS:]], -1)
    torch.testing.assert_close(image[1:], wanted @ value, rtol=ROUNDING, atol=ROUNDING)
    torch.testing.assert_close(kept["layer"], wanted[0, :, :, POSITIONS:], rtol=ROUNDING, atol=ROUNDING)
    torch.testing.assert_close(image[:1], plain[:1], rtol=ROUNDING, atol=ROUNDING)
    torch.testing.assert_close(text, plain_text, rtol=ROUNDING, atol=ROUNDING)


def test_columns_that_are_formed_as_the_layer_runs_are_the_same() -> None:
    p = projected()
    kept, take = torch.rand(2, POSITIONS, COLUMNS), torch.tensor([1.0, 0.0, 2.0, 1.0, 0.5])
    share, columns = 1 - take, torch.tensor([0, 0, 1, 3, 4])
    formed = apply(p, AttentionEdit(base=kept[..., columns] * take, share=share, read=True))
    late = apply(p, AttentionEdit(base=kept, columns=columns, take=take, share=share, read=True))
    torch.testing.assert_close(late, formed, rtol=0, atol=0)


def test_kept_maps_have_the_networks_number_format() -> None:
    p = Projected(*(each.bfloat16() for each in vars(projected()).values()))
    _, _, exact = apply(p, AttentionEdit(read=True))
    _, _, rounded = apply(p, AttentionEdit(read=True, rounded=True))
    assert (exact["layer"].dtype, rounded["layer"].dtype) == (torch.float32, torch.bfloat16)
    torch.testing.assert_close(rounded["layer"].float(), exact["layer"], rtol=1e-2, atol=1e-3)


def test_the_sources_pair_takes_the_place_of_the_pictures_attention_to_itself() -> None:
    p, source = projected(), projected(1).rows(slice(None))
    pair = torch.stack([source.key[0], source.query[0]])
    image, text, kept = apply(p, AttentionEdit(own_pair=pair, read=True))
    own = p.rows(slice(1, 2))
    among = pair[0][None] @ pair[1][None].transpose(-1, -2)
    scores = torch.cat([among, own.query @ own.text_key.transpose(-1, -2)], -1) * WIDTH**-0.5
    maps, value = scores.softmax(-1), torch.cat([own.value, own.text_value], 2)
    torch.testing.assert_close(image[1:], maps @ value, rtol=ROUNDING, atol=ROUNDING)
    torch.testing.assert_close(kept["layer"], maps[0, :, :, POSITIONS:], rtol=ROUNDING, atol=ROUNDING)
    _, plain_text, _ = apply(p, AttentionEdit())
    torch.testing.assert_close(text, plain_text, rtol=ROUNDING, atol=ROUNDING)


def test_a_layers_own_maps_and_pair_injected_change_nothing() -> None:
    p = projected(1)
    plain, _, kept = apply(p, AttentionEdit(read=True, read_pair=True))
    given = AttentionEdit(base=kept["layer"], own_pair=kept[pair_name("layer")])
    image, _, _ = apply(p, given)
    torch.testing.assert_close(image, plain, rtol=ROUNDING, atol=ROUNDING)
