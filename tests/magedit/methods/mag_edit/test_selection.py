"""Selection by likelihood: what the model recognises, and which candidates are sampled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from magedit.backbones.denoiser import Denoiser
from magedit.config import EditConfig, Region
from magedit.demo import checkpoint_path
from magedit.demo.edits import EditKind
from magedit.demo.evaluate import load_pipeline
from magedit.demo.sets import sample_edits
from magedit.measures.meter import Meter, expected_work
from magedit.measures.report import Progress, Stage
from magedit.methods.base import EditTask, Selected
from magedit.methods.mag_edit import selection
from magedit.methods.mag_edit.selection import errors, is_recognised
from magedit.pipelines.mag_edit import MAGEditOutput, MAGEditPipeline
from tests.magedit.conftest import Room


def config(**given: Any) -> EditConfig:
    """Few steps; `replace` would make every parameter count as given."""
    return EditConfig(**{"steps": 2, "max_iterations": 1, "selection": "likelihood", **given})


NEW = (Region(words=("green",)),)

Judge = Callable[[EditTask, Tensor], tuple[float, float]]


def edit(pipe: MAGEditPipeline, room: Room, edited: EditConfig, **options: Any) -> MAGEditOutput:
    output = pipe(room.image, [room.mask], room.source, room.target, NEW, edited, output_type="latent", **options)
    assert isinstance(output, MAGEditOutput)
    return output


def judged(found: Mapping[str | None, tuple[float, float]]) -> Judge:
    """Errors by constraint, None: without guidance; the unedited picture's are equal."""

    def judge(task: EditTask, latent: Tensor) -> tuple[float, float]:
        if torch.equal(latent, task.inverted.latents[-1]):
            return 0.1, 0.1
        return found[task.config.constraint if task.config.guided_steps else None]

    return judge


@pytest.mark.parametrize(
    ("found", "selected", "alone"),
    [
        # Recognised without guidance, although guidance would fit better.
        ({None: (0.2, 0.1), "token": (0.9, 0.0), "spatial": (0.9, 0.0)}, "unguided", {"strength": 0.0}),
        # Of those that are recognised the one that fits best, not the one of the largest ratio.
        ({None: (0.1, 0.2), "token": (0.9, 0.4), "spatial": (0.4, 0.2)}, "spatial", {"constraint": "spatial"}),
        ({None: (0.1, 0.2), "token": (0.4, 0.2), "spatial": (0.2, 0.3)}, "token", {}),
        # Recognised in none: the largest ratio.
        ({None: (0.1, 0.5), "token": (0.1, 0.2), "spatial": (0.1, 0.3)}, "token", {}),
        ({None: (0.1, 0.1), "token": (0.1, 0.2), "spatial": (0.1, 0.3)}, "unguided", {"strength": 0.0}),
    ],
)
def test_the_selected_result_is_that_of_its_own_edit(
    pipe: MAGEditPipeline,
    room: Room,
    monkeypatch: pytest.MonkeyPatch,
    found: Mapping[str | None, tuple[float, float]],
    selected: str,
    alone: dict[str, Any],
) -> None:
    monkeypatch.setattr(selection, "errors", judged(found))
    output = edit(pipe, room, config())
    (result,) = output.measures.results
    assert result.selected == selected
    source, target = found[None if selected == "unguided" else selected]
    assert result.likelihood_ratio == pytest.approx(source - target)
    expected = edit(pipe, room, config(selection="none", **alone))
    assert torch.equal(output.images, expected.images)  # type: ignore[arg-type]
    assert output.measures.trace == expected.measures.trace


def test_each_result_is_selected_for_itself(pipe: MAGEditPipeline, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = {0: (0.1, 0.2), 1: (0.3, 0.1)}

    def judge(task: EditTask, latent: Tensor) -> tuple[float, float]:
        if torch.equal(latent, task.inverted.latents[-1]):
            return 0.1, 0.1
        return (0.5, 0.1) if task.config.guided_steps else seeds[task.config.seed]

    monkeypatch.setattr(selection, "errors", judge)
    together = edit(pipe, room, config(n=2))
    assert [each.selected for each in together.measures.results] == ["token", "unguided"]
    for number, seed in enumerate(seeds):
        alone = edit(pipe, room, config(seed=seed))
        torch.testing.assert_close(together.images[number], alone.images[0], atol=1e-4, rtol=0)


def test_results_of_one_generator_draw_what_they_draw_without_selection(
    pipe: MAGEditPipeline, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "errors", judged({None: (0.1, 0.2), "token": (0.4, 0.1), "spatial": (0.4, 0.2)}))
    chosen, plain = (
        edit(pipe, room, config(n=2, selection=which), generator=torch.Generator().manual_seed(3)).images
        for which in ("likelihood", "none")
    )
    assert torch.equal(chosen, plain)  # type: ignore[arg-type]


def test_the_plan_holds_every_candidate(pipe: MAGEditPipeline, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "is_recognised", lambda *_: False)
    every, seen = config(gradient_tolerance=0.0, stop_margin=0.0), list[Progress]()
    measures = edit(pipe, room, every, on_progress=seen.append).measures
    planned = expected_work(every, inverted=False)
    passes = measures.unet_forward + 0.5 * measures.unet_truncated_forward + 0.55 * measures.unet_backward
    assert sum(planned.values()) == pytest.approx(passes, rel=0.15)
    assert [each.fraction for each in seen] == sorted(each.fraction for each in seen)
    edited = [each for each in seen if each.stage is Stage.EDIT][-1]
    assert edited.step == edited.steps


@pytest.mark.parametrize("kind", ["colour", "pattern", "replacement", "addition", "removal"])
def test_the_demo_recognises_what_a_picture_shows(demo: MAGEditPipeline, kind: EditKind) -> None:
    (known,) = sample_edits(kind, 1, seed=11)
    backbone = demo.backbone
    mask = np.asarray(known.mask(demo.size).resize((backbone.latent_side,) * 2, Image.Resampling.BOX)) / 255
    task = SimpleNamespace(
        denoiser=Denoiser(backbone, backbone.process(20), Meter({})),
        mask=torch.tensor(mask),
        source=backbone.encode(known.source_prompt),
        target=backbone.encode(known.target_prompt),
    )
    with torch.no_grad():
        before, after = (
            Selected(None, *errors(cast(EditTask, task), backbone.encode_image(picture))).ratio
            for picture in (known.image(demo.size), known.truth(demo.size))
        )
    assert is_recognised(after, before)
    assert not is_recognised(before, before)


@pytest.fixture(scope="module")
def demo() -> MAGEditPipeline:
    return load_pipeline(checkpoint_path())
