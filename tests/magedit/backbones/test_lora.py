"""LoRA files on a checkpoint: in force inside, gone on every exit, and refused where they do not fit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from magedit.backbones.checkpoints.fingerprint import fingerprint
from magedit.config.loras import Lora
from magedit.errors import InvalidParameter
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.backbones.sdxl.tiny import sdxl_checkpoint
from tests.magedit.conftest import load_pipeline
from tests.magedit.tiny import lora_file


@pytest.fixture(params=["sd", "sdxl"])
def pipe(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MAGEditPipeline]:
    if request.param == "sd":
        yield load_pipeline()
    else:
        yield MAGEditPipeline.from_pretrained(sdxl_checkpoint(tmp_path / "sdxl"))


@pytest.fixture
def file(pipe: MAGEditPipeline, tmp_path: Path) -> Path:
    return lora_file(pipe, tmp_path / "loras" / "style.safetensors")


@torch.no_grad()
def predicted(pipe: MAGEditPipeline) -> Tensor:
    latent = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(1))
    return pipe.backbone.predict(latent, 481, pipe.backbone.encode("a red sofa"))


def modules(pipe: Any) -> dict[str, int]:
    return {
        f"{n}.{name}": id(module) for n, part in enumerate(pipe.backbone.parts) for name, module in part.named_modules()
    }


def test_it_is_in_force_inside_and_gone_outside(pipe: MAGEditPipeline, file: Path) -> None:
    before, named, digest = predicted(pipe), modules(pipe), fingerprint(pipe.backbone)
    with pipe.backbone.with_loras([Lora(file, 0.5)]):
        half = predicted(pipe)
    with pipe.backbone.with_loras([Lora(file)]):
        whole = predicted(pipe)
    assert float((half - before).abs().max()) > 1e-3
    assert float((whole - half).abs().max()) > 1e-3
    assert torch.equal(predicted(pipe), before)
    assert (set(modules(pipe)), fingerprint(pipe.backbone)) == (set(named), digest)


def test_it_is_the_weights_plus_the_product(pipe: MAGEditPipeline, file: Path) -> None:
    tensors = load_file(file)
    with pipe.backbone.with_loras([Lora(file, 0.5)]):
        wanted = predicted(pipe)
    parts = {"unet": pipe.unet, "text_encoder": pipe.text_encoder}
    for name, up in tensors.items():
        if ".lora_B." in name:
            part, _, rest = name.partition(".")
            layer = rest.partition(".lora_B")[0]
            try:
                module = parts[part].get_submodule(layer)
            except AttributeError:
                module = parts[part].get_submodule(layer.removeprefix("text_model."))
            module.weight.data += 0.5 * up @ tensors[name.replace("lora_B", "lora_A")]
    assert float((predicted(pipe) - wanted).abs().max()) < 1e-5


def test_two_add_up_and_merged_ones_stay(pipe: MAGEditPipeline, file: Path, tmp_path: Path) -> None:
    other = lora_file(pipe, tmp_path / "loras" / "other.safetensors", seed=7, text=False)
    loras = [Lora(file, 0.5), Lora(other, -0.25)]
    digest = fingerprint(pipe.backbone)
    with pipe.backbone.with_loras(loras[:1]):
        one = predicted(pipe)
    with pipe.backbone.with_loras(loras):
        both = predicted(pipe)
    assert float((both - one).abs().max()) > 1e-3
    pipe.backbone.merge_loras(loras)  # type: ignore[attr-defined]
    assert float((predicted(pipe) - both).abs().max()) < 1e-5
    assert fingerprint(pipe.backbone) != digest
    assert not any("lora" in name for name in modules(pipe))


def test_it_is_gone_after_an_error(pipe: MAGEditPipeline, file: Path) -> None:
    before, named = predicted(pipe), set(modules(pipe))
    with pytest.raises(RuntimeError, match="broken"), pipe.backbone.with_loras([Lora(file)]):
        raise RuntimeError("broken")
    damaged = file.with_name("damaged.safetensors")
    damaged.write_bytes(file.read_bytes()[:100])
    with (
        pytest.raises(InvalidParameter, match="LoRA 'damaged' does not fit"),
        pipe.backbone.with_loras([Lora(file), Lora(damaged)]),
    ):
        pass
    assert torch.equal(predicted(pipe), before)
    assert set(modules(pipe)) == named


def test_a_failed_merge_leaves_no_lora(pipe: MAGEditPipeline, file: Path) -> None:
    before, named = predicted(pipe), set(modules(pipe))
    damaged = file.with_name("damaged.safetensors")
    damaged.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InvalidParameter, match="LoRA 'damaged' does not fit"):
        pipe.backbone.merge_loras([Lora(file), Lora(damaged)])  # type: ignore[attr-defined]
    assert torch.equal(predicted(pipe), before)
    assert set(modules(pipe)) == named


def test_one_of_another_family_is_refused(tmp_path: Path) -> None:
    small = load_pipeline()
    large = MAGEditPipeline.from_pretrained(sdxl_checkpoint(tmp_path / "sdxl"))
    for own, other in ((small, large), (large, small)):
        file = lora_file(own, tmp_path / "style.safetensors", text=False)
        before = predicted(other)
        with pytest.raises(InvalidParameter, match="LoRA 'style'") as refused, other.backbone.with_loras([Lora(file)]):
            pass
        assert refused.value.field == "lora"
        assert torch.equal(predicted(other), before)
