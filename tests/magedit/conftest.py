"""Tiny real checkpoints, an edit, and the vectors that the algorithm is held against."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_module
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image, ImageDraw
from torch import Tensor
from transformers import CLIPConfig, CLIPImageProcessor

from magedit.backbones.base import Conditioning
from magedit.card import Trait
from magedit.config import EditConfig, Region
from magedit.methods.compatibility import suited_methods
from magedit.pipelines.mag_edit import MAGEditOutput, MAGEditPipeline
from tests.magedit.tiny import write_flux, write_sd3

DATA = Path(__file__).parent.parent / "data"
CHECKPOINT = DATA / "tiny-checkpoint"
VECTORS = DATA / "vectors"
ROUNDING = 1e-4
"""Relative, of latents; two ways to the same numbers differ by rounding alone."""

FOR_DIFFUSION = suited_methods(frozenset[Trait]({"diffusion"}))
"""The methods that make sense on a model of diffusion."""


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


def load_pipeline(**options: Any) -> MAGEditPipeline:
    """The tiny checkpoint: SD layout, random weights, 256 px, guidance on 8x8 maps."""
    pipe: MAGEditPipeline = MAGEditPipeline.from_pretrained(CHECKPOINT, **options)
    return pipe


@pytest.fixture(scope="session")
def pipe() -> MAGEditPipeline:
    """One pipeline for all tests; a test that changes it loads its own."""
    return load_pipeline()


def objecting_checker() -> tuple[StableDiffusionSafetyChecker, CLIPImageProcessor]:
    """A safety checker that objects to every picture, with its feature extractor."""
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    }
    checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=16)).eval()
    # Far above any cosine: this concept is always seen.
    checker.concept_embeds_weights.data[:] = -10.0
    extractor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return checker, extractor


@dataclass(frozen=True)
class Room:
    """A picture with a mask and the prompts of an edit."""

    image: Image.Image
    mask: Image.Image
    source: str = "a room with a red sofa"
    target: str = "a room with a green sofa"


@pytest.fixture
def room() -> Room:
    """A 256 px picture and a mask off its centre."""
    image = Image.open(VECTORS / "inputs" / "room.png").convert("RGB")
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).rectangle((60, 140, 150, 200), fill=255)
    return Room(image, mask)


@pytest.fixture(scope="session")
def cases() -> dict[str, dict[str, Any]]:
    """The edits that the vectors were recorded for."""
    loaded: dict[str, dict[str, Any]] = json.loads((VECTORS / "cases.json").read_text())
    return loaded


def relative(got: Tensor, wanted: Tensor) -> float:
    """Relative error in the Euclidean norm."""
    return float((got - wanted).norm() / wanted.norm())


@pytest.fixture
def grad_enabled() -> Iterator[None]:
    """Gradients on, whatever the tests before left."""
    with torch.enable_grad():
        yield


@pytest.fixture(scope="session")
def sd3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sd3(tmp_path_factory.mktemp("sd3"))


@pytest.fixture(scope="session")
def flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flux(tmp_path_factory.mktemp("flux"))


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


@contextmanager
def hook_calls(network: Any) -> Iterator[list[str]]:
    """The classes of the modules that a hook of accelerate's, as offloading sets one, is called for inside."""
    calls: list[str] = []

    class Mover(ModelHook):  # type: ignore[misc]
        def pre_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            calls.append(type(module).__name__)
            return args, kwargs

    add_hook_to_module(network, Mover())
    try:
        yield calls
    finally:
        remove_hook_from_module(network)
