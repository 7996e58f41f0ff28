"""The tiny real checkpoint, and the vectors that the algorithm is held against."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image, ImageDraw
from torch import Tensor
from transformers import CLIPConfig, CLIPImageProcessor

from magedit.card import Trait
from magedit.methods.compatibility import suited_methods
from magedit.pipelines.mag_edit import MAGEditPipeline

DATA = Path(__file__).parent.parent / "data"
CHECKPOINT = DATA / "tiny-checkpoint"
VECTORS = DATA / "vectors"

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
