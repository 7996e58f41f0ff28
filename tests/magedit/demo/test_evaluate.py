import numpy as np
import pytest
import torch
from PIL import Image, ImageChops

from magedit.config import EditConfig
from magedit.demo import checkpoint_path, edit_set, sample_edits
from magedit.demo.captions import Style
from magedit.demo.draw import ELEMENT
from magedit.demo.evaluate import (
    Tally,
    attention_pointing,
    carry_out,
    edit_quality,
    held_out,
    inversion_quality,
    judge_edit,
    load_pipeline,
    prompt_following,
    psnr,
    read_back,
    vae_quality,
)
from magedit.demo.model import DemoModel
from magedit.demo.named import demo_edit
from recipes.presets.stable_diffusion import CPU_128
from recipes.stages.unet import training_scene


@pytest.fixture(scope="module")
def model() -> DemoModel:
    torch.set_num_threads(1)
    return DemoModel.load(checkpoint_path())


def test_tallies_count_by_class() -> None:
    tally = Tally()
    for kind, right in (("sofa", True), ("sofa", False), ("lamp", True)):
        tally.note(kind, right)
    assert tally.table() == {"lamp": "1/1", "sofa": "1/2"}
    assert tally.share == pytest.approx(2 / 3)


def test_psnr_of_a_known_error() -> None:
    one, other = Image.new("RGB", (4, 4), (100, 100, 100)), Image.new("RGB", (4, 4), (100, 100, 110))
    assert psnr(one, other) == pytest.approx(10 * np.log10(255**2 / (100 / 3)))
    assert psnr(one, one) > 80


def test_held_out_rooms_are_not_trained_on() -> None:
    rooms = [scene for scene, _ in held_out(16, 0, Style())]
    assert rooms == [scene for scene, _ in held_out(16, 0, Style())]
    assert not {*rooms} & {training_scene(CPU_128.seed, index) for index in range(CPU_128.unet.pictures)}


def test_a_perfect_edit_leaves_nothing_and_no_edit_leaves_all() -> None:
    edit = demo_edit("carpet")
    perfect, nothing = judge_edit(edit, edit.truth(), 128), judge_edit(edit, edit.image(), 128)
    assert (perfect["left"], perfect["read"], perfect["success"]) == (0.0, 1.0, 1.0)
    assert (nothing["left"], nothing["read"], nothing["success"]) == (1.0, 0.0, 0.0)


def test_a_pattern_that_begins_elsewhere_is_right_and_one_that_is_missing_is_not() -> None:
    for edit in sample_edits("pattern", 6, seed=9):
        truth, mask = edit.truth(), edit.mask()
        half = ImageChops.offset(truth, ELEMENT, ELEMENT)
        # Where half a period further the thing still is.
        moved = Image.composite(half, truth, ImageChops.darker(mask, ImageChops.offset(mask, ELEMENT, ELEMENT)))
        # The edge of a narrow curtain moves as far as its stripes.
        assert judge_edit(edit, moved, 128)["left"] < (0.9 if "curtain" in edit.words[0] else 0.6), edit.name
        assert judge_edit(edit, edit.image(), 128)["success"] == 0.0


def test_true_results_are_read_back_and_sources_are_not() -> None:
    edits = edit_set(3, seed=5)
    assert [edit.name for edit in edits if not read_back(edit, edit.truth())] == []
    assert [edit.name for edit in edits if read_back(edit, edit.image())] == []


def test_the_checkpoint_is_measured(model: DemoModel) -> None:
    vae = vae_quality(model, 4)
    assert vae["mean_db"] > 28
    inversion = inversion_quality(model, 1, steps=10)
    assert inversion["vae_db"] > 25
    attention = attention_pointing(model, 4, side=model.unet.config.sample_size)
    assert attention["in_mask"] > attention["area"]
    figures, grid = prompt_following(model, 2, steps=10)
    assert 0 <= figures["drawn"] <= 1
    assert figures["true"] > 0.8
    assert grid.size == (256, 256)


def test_edits_are_measured_with_and_without_guidance() -> None:
    configs = {name: EditConfig(method=name, steps=4, max_iterations=1) for name in ("p2p", "mag-edit")}
    edits = [demo_edit("carpet"), demo_edit("lamp")]
    figures, grid = edit_quality(checkpoint_path(), edits, configs)
    assert set(figures) == {"p2p", "mag-edit"}
    assert set(figures["p2p"]) == {"plain"}
    assert set(figures["p2p"]["plain"]) == {*(edit.kind for edit in edits), "all"}
    assert grid.size == (4 * 128, 2 * 128)
    here = carry_out(load_pipeline(checkpoint_path()), edits[1], configs)["mag-edit"]
    assert here.tobytes() == grid.crop((3 * 128, 128, 4 * 128, 2 * 128)).tobytes()
