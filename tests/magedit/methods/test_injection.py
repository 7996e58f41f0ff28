"""Injection as data: windows, refine, replace, equalizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from magedit.backbones.stable_diffusion.attention import find_sites
from magedit.config import EditConfig
from magedit.errors import WordNotFound
from magedit.methods.injection import Injection
from magedit.pipelines.mag_edit import MAGEditPipeline

SOURCE, TARGET = "a room with a red sofa", "a room with a green sofa"
CPU = torch.device("cpu")


class Reads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the numbers that are read off a tensor; on an accelerator each waits for the device."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def between(
    pipe: MAGEditPipeline, config: EditConfig, source: str = SOURCE, target: str = TARGET, own: Sequence[int] = ()
) -> Injection:
    return Injection.between(
        (source, pipe.tokenize(source)),
        (target, pipe.tokenize(target)),
        77,
        find_sites(pipe.unet, pipe.latent_side),
        config,
        CPU,
        own=own,
    )


def test_windows_close_as_the_released_program_counts_them(pipe: MAGEditPipeline) -> None:
    injection = between(pipe, EditConfig())
    cross = [any(layer.kind == "cross" for layer in injection.sources(i)) for i in range(50)]
    own = [any(layer.kind == "self" for layer in injection.sources(i)) for i in range(50)]
    assert cross == [i < 40 for i in range(50)]
    assert own == [i < 25 for i in range(50)]


def test_the_windows_are_read_off_the_device_once(pipe: MAGEditPipeline) -> None:
    injection = between(pipe, EditConfig())
    with Reads() as reads:  # type: ignore[no-untyped-call]
        for step in range(50):
            injection.sources(step)
            injection.captures(step)
    assert reads.count == 1


def test_large_self_attention_is_not_injected(pipe: MAGEditPipeline) -> None:
    injection = between(pipe, EditConfig(self_replace_max_positions=256))
    assert {layer.side for layer in injection.sources(0) if layer.kind == "self"} == {16, 8, 4}


def test_refine_takes_aligned_tokens_and_keeps_new_ones(pipe: MAGEditPipeline) -> None:
    injection = between(pipe, EditConfig())
    layer = next(layer for layer in injection.sites if layer.kind == "cross")
    source_map = torch.rand(2, layer.positions, 77)
    maps = {other.name: source_map for other in injection.sites}
    edit: Any = injection.edits(0, maps, read=[layer.name])[layer.name]
    assert edit.read
    assert edit.base is not None
    assert edit.share is not None
    own = torch.rand(2, layer.positions, 77)
    mixed = edit.base + edit.share * own
    new = 5
    aligned = [n for n in range(77) if n != new]
    torch.testing.assert_close(mixed[..., new], own[..., new])
    torch.testing.assert_close(mixed[..., aligned], source_map[..., aligned])


def test_replace_spreads_the_sources_map_over_the_new_words_tokens(pipe: MAGEditPipeline) -> None:
    injection = between(pipe, EditConfig(injection="replace"), "a red sofa", "a turquoise sofa")
    layer = next(layer for layer in injection.sites if layer.kind == "cross")
    source_map = torch.rand(2, layer.positions, 77)
    edit: Any = injection.edits(0, {other.name: source_map for other in injection.sites}, read=())[layer.name]
    assert edit.base is not None
    assert edit.share is None
    torch.testing.assert_close(edit.base[..., 2:10].sum(-1), source_map[..., 2])


def test_a_words_window_and_weight_apply_only_to_its_tokens(pipe: MAGEditPipeline) -> None:
    config = EditConfig(cross_replace_words={"sofa": 0.2}, equalizer={"room": 3.0})
    injection = between(pipe, config)
    layer = next(layer for layer in injection.sites if layer.kind == "cross")
    maps = {other.name: torch.ones(2, other.positions, 77) for other in injection.sites}
    early: Any
    late: Any
    early, late = (injection.edits(step, maps, read=())[layer.name] for step in (0, 20))
    for edit in (early, late):
        assert edit.base is not None
        assert float(edit.base[0, 0, 2]) == 3.0
    assert early.base is not None
    assert float(early.base[0, 0, 6]) == 1.0
    assert late.base is not None
    assert late.share is not None
    assert float(late.base[0, 0, 6]) == 0.0
    assert float(late.share[6]) == 1.0


def test_tokens_that_keep_their_own_maps_are_never_injected(pipe: MAGEditPipeline) -> None:
    injection = between(pipe, EditConfig(), own=[5, 6])
    layer = next(layer for layer in injection.sites if layer.kind == "cross")
    maps = {other.name: torch.ones(2, other.positions, 77) for other in injection.sites}
    edit: Any = injection.edits(0, maps, read=())[layer.name]
    assert edit.base is not None
    assert edit.share is not None
    assert edit.base[..., [5, 6]].abs().max() == 0
    assert edit.share[[5, 6]].tolist() == [1.0, 1.0]
    assert float(edit.base[..., 4].min()) == 1.0


def test_results_inject_the_same_unless_one_keeps_maps_that_the_source_would_replace(pipe: MAGEditPipeline) -> None:
    plain = between(pipe, EditConfig())
    new, shared = between(pipe, EditConfig(), own=[5]), between(pipe, EditConfig(), own=[6])
    assert plain.key(0) == new.key(0) != shared.key(0)
    assert plain.key(0) != plain.key(40) == shared.key(40)
    replaced, kept = (between(pipe, EditConfig(injection="replace"), own=own) for own in ([], [5]))
    assert replaced.key(0) != kept.key(0)
    assert replaced.key(40) == kept.key(40)


@pytest.mark.parametrize(
    ("field", "config"),
    [
        ("cross_replace_words", EditConfig(cross_replace_words={"red": 0.5})),
        ("equalizer", EditConfig(equalizer={"red": 0.5})),
    ],
)
def test_a_word_that_the_target_lacks_names_its_parameter(
    pipe: MAGEditPipeline, field: str, config: EditConfig
) -> None:
    with pytest.raises(WordNotFound) as caught:
        between(pipe, config)
    assert caught.value.field == field
