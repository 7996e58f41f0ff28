"""Tiny real segmenters and detectors; the shipped checkpoint and a room of its own."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from transformers import (
    BertConfig,
    BertTokenizerFast,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessorPil,
    GroundingDinoProcessor,
    SwinConfig,
)

from magedit.demo import checkpoint_path
from magedit.demo.scene import Scene, sample_scene
from magedit.pipelines.mag_edit import MAGEditPipeline
from recipes.presets.segmenter import SEGMENTER_TOY
from recipes.segmenter import build_segmenter, export_segmenter


@pytest.fixture(scope="module")
def demo() -> MAGEditPipeline:
    torch.set_num_threads(1)
    return MAGEditPipeline.from_pretrained(checkpoint_path())


@pytest.fixture(scope="module")
def sofa_room() -> Scene:
    """A room with a sofa."""
    rng = random.Random(5)
    return next(
        scene for scene in iter(lambda: sample_scene(rng), None) if "sofa" in {each.kind for each in scene.things}
    )


@pytest.fixture(scope="session")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a randomly initialised model in SAM layout for 64 px pictures."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("segmenter") / "sam"
    export_segmenter(build_segmenter(SEGMENTER_TOY.segmenter, SEGMENTER_TOY.size), folder)
    return folder


@pytest.fixture(scope="session")
def grounding_dino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a randomly initialised Grounding DINO."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("detector")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "sofa", "red", "lamp", "carpet"]
    (folder / "vocab.txt").write_text("\n".join(words))
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"))
    config = GroundingDinoConfig(
        backbone_config=SwinConfig(
            image_size=64,
            embed_dim=8,
            depths=[1, 1, 1, 1],
            num_heads=[1, 1, 1, 1],
            window_size=4,
            out_features=["stage2", "stage3", "stage4"],
        ),
        text_config=BertConfig(
            vocab_size=len(words),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=64,
        ),
        d_model=32,
        encoder_layers=1,
        encoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_layers=2,
        decoder_ffn_dim=16,
        decoder_attention_heads=2,
        num_queries=20,
        max_text_len=16,
    )
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    processor = GroundingDinoImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 96})
    GroundingDinoProcessor(processor, tokenizer).save_pretrained(folder)
    return folder
