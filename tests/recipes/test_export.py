import json
from itertools import chain
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline

from magedit.demo.model import DemoModel, tokenize
from magedit.demo.vocabulary import GROUPS
from magedit.edits.checkpoint import closed_vocabulary
from magedit.pipelines.mag_edit import MAGEditPipeline
from recipes.export import DOMAIN, Guidance, export_checkpoint
from recipes.presets.stable_diffusion import TOY
from recipes.stages.text import build_text_encoder
from recipes.stages.tokenizer import build_tokenizer
from recipes.stages.unet import build_scheduler, build_unet
from recipes.stages.vae import build_vae


def _export(out: Path) -> None:
    tokenizer = build_tokenizer(out.parent / "tokenizer")
    tokenize(tokenizer, ["a red sofa"])  # as training does, padded
    export_checkpoint(
        out,
        vae=build_vae(TOY.vae, TOY.size),
        encoder=build_text_encoder(TOY.text, tokenizer),
        tokenizer=tokenizer,
        unet=build_unet(TOY.unet, TOY.size, TOY.text.width),
        scheduler=build_scheduler(),
        guidance=Guidance(resolution=8, step_size=0.5, spatial_step_size=0.25),
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("export") / "checkpoint"
    _export(out)
    return out


def test_stable_diffusions_pipeline_loads_and_draws(checkpoint: Path) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(checkpoint)
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline.unet.dtype == pipeline.text_encoder.dtype == torch.float32
    assert pipeline("a red sofa", num_inference_steps=2).images[0].size == (64, 64)


def test_magedits_pipeline_reads_its_keys(checkpoint: Path) -> None:
    pipeline = MAGEditPipeline.from_pretrained(checkpoint)
    assert pipeline.size == 64
    assert pipeline.guidance_side == 8
    assert pipeline.config.guidance_step_size == 0.5
    assert pipeline.config.spatial_step_size == 0.25


def test_the_tokenizer_keeps_nothing_of_its_last_call(checkpoint: Path) -> None:
    stored = json.loads((checkpoint / "tokenizer" / "tokenizer.json").read_text())
    assert (stored["padding"], stored["truncation"]) == (None, None)


def test_the_demo_model_loads(checkpoint: Path) -> None:
    assert DemoModel.load(checkpoint).size == 64


def test_the_words_are_stored(checkpoint: Path) -> None:
    assert closed_vocabulary(checkpoint) == tuple(chain(*GROUPS.values()))


def test_an_export_replaces_the_last_and_keeps_the_card(tmp_path: Path) -> None:
    out = tmp_path / "checkpoint"
    out.mkdir()
    (out / "README.md").write_text("card")
    (out / "stale").write_text("old")
    _export(out)
    assert (out / "README.md").read_text() == "card"
    assert not (out / "stale").exists()
    index = json.loads((out / "model_index.json").read_text())
    assert (index["guidance_resolution"], index["domain"]) == (8, DOMAIN)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint", "tokenizer"}


def test_no_folder_of_this_machine_is_stored(checkpoint: Path, tmp_path: Path) -> None:
    loaded = StableDiffusionPipeline.from_pretrained(checkpoint)
    again = tmp_path / "again"
    export_checkpoint(
        again,
        vae=loaded.vae,
        encoder=loaded.text_encoder,
        tokenizer=loaded.tokenizer,
        unet=loaded.unet,
        scheduler=build_scheduler(),
        guidance=Guidance(resolution=8, step_size=0.5, spatial_step_size=0.25),
    )
    assert not [file for file in again.rglob("*.json") if str(checkpoint) in file.read_text()]
