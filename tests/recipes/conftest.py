"""A checkpoint to train on."""

from pathlib import Path

import pytest
import torch

from recipes.export import export_checkpoint
from recipes.presets.stable_diffusion import TOY
from recipes.stages.text import build_text_encoder
from recipes.stages.tokenizer import build_tokenizer
from recipes.stages.unet import build_scheduler, build_unet
from recipes.stages.vae import build_vae


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained checkpoint in the demo's layout."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("start")
    tokenizer = build_tokenizer(folder / "words")
    export_checkpoint(
        folder / "checkpoint",
        vae=build_vae(TOY.vae, TOY.size),
        encoder=build_text_encoder(TOY.text, tokenizer),
        tokenizer=tokenizer,
        unet=build_unet(TOY.unet, TOY.size, TOY.text.width),
        scheduler=build_scheduler(),
        guidance=None,
    )
    return folder / "checkpoint"
