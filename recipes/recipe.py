"""The whole recipe, from scratch to a checkpoint: text encoder, VAE, latents, UNet (with the text encoder), export.

Every process runs this same sequence; a killed run starts it again and each stage resumes from its snapshot.
"""

from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from recipes.export import Guidance, export_checkpoint
from recipes.presets.parameters import Preset
from recipes.stages.text import TextStage
from recipes.stages.tokenizer import kept_tokenizer
from recipes.stages.unet import UnetStage, build_scheduler, training_scene
from recipes.stages.vae import VaeStage
from recipes.training.latents import make_latents, normalized, wait
from recipes.training.loop import Run, snapshot_path, train


def _tokenizer(run: Run) -> CLIPTokenizer:
    folder = run.state / "tokenizer"
    if run.rank == 0:
        kept_tokenizer(folder)
    wait(run)
    return CLIPTokenizer.from_pretrained(folder)


def _seeded(preset: Preset, stage: str) -> None:
    torch.manual_seed(preset.seed + sum(stage.encode()))  # the same initial weights in every process


def train_text(preset: Preset, run: Run, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """The trained text encoder."""
    _seeded(preset, "text")
    stage = TextStage(preset, tokenizer)
    train(stage, run)
    return stage.encoder.requires_grad_(False).eval()


def train_vae(preset: Preset, run: Run) -> AutoencoderKL:
    """The trained VAE, its latents normalized."""
    _seeded(preset, "vae")
    stage = VaeStage(preset)
    train(stage, run)
    vae: AutoencoderKL = stage.model.requires_grad_(False).eval()
    return normalized(vae, partial(training_scene, preset.seed), preset.size)


def _parts(preset: Preset, run: Run, start: Path | None) -> tuple[CLIPTokenizer, CLIPTextModel, AutoencoderKL]:
    """The frozen parts for training the UNet: from the checkpoint `start`, or trained here."""
    if start is None:
        tokenizer = _tokenizer(run)
        return tokenizer, train_text(preset, run, tokenizer), train_vae(preset, run)
    encoder: CLIPTextModel = CLIPTextModel.from_pretrained(start / "text_encoder").requires_grad_(False).eval()
    vae = AutoencoderKL.from_pretrained(start / "vae", torch_dtype=torch.float32).requires_grad_(False).eval()
    return CLIPTokenizer.from_pretrained(start / "tokenizer"), encoder, vae.to(preset.device)


def _unet_stage(
    preset: Preset, tokenizer: CLIPTokenizer, encoder: CLIPTextModel, latents: torch.Tensor, start: Path | None
) -> UnetStage:
    _seeded(preset, "unet")
    stage = UnetStage(preset, tokenizer, encoder, latents)
    if start is not None:
        weights = UNet2DConditionModel.from_pretrained(start / "unet", torch_dtype=torch.float32).state_dict()
        stage.unet.load_state_dict(weights)
    return stage


def train_all(run: Run, *, preset: Preset, out: Path, guidance: Guidance, start: Path | None = None) -> None:
    """Trains the missing stages and exports the checkpoint to `out`.

    With `start`, the folder of a checkpoint, its VAE is taken as it is, its UNet is trained on, and with it, if the
    preset says so, its text encoder.

    Raises:
        OutOfBudgetError: the run's deadline passed; the same call resumes from the snapshots.
    """
    tokenizer, encoder, vae = _parts(preset, run, start)
    latents = make_latents(vae, partial(training_scene, preset.seed), preset.unet.pictures, preset.size, run)
    stage = _unet_stage(preset, tokenizer, encoder, latents, start)
    train(stage, run)
    if run.rank == 0:
        export_checkpoint(
            out,
            vae=vae,
            encoder=stage.encoder,
            tokenizer=tokenizer,
            unet=stage.unet,
            scheduler=build_scheduler(),
            guidance=guidance,
        )


def export_snapshot(preset: Preset, state: Path, out: Path, guidance: Guidance, start: Path | None = None) -> int:
    """Exports the checkpoint of a run in progress; returns the number of samples that its UNet has seen.

    Raises:
        FileNotFoundError: the UNet stage has no snapshot yet.
    """
    path = snapshot_path(Run(state=state, seed=preset.seed), UnetStage.name)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: the UNet stage has written no snapshot yet")
    run = Run(state=state, seed=preset.seed)
    tokenizer, encoder, vae = _parts(preset, run, start)
    stage = _unet_stage(preset, tokenizer, encoder, torch.zeros(1), start)
    kept = torch.load(path, map_location="cpu", weights_only=True)
    stage.model.load_state_dict(kept["averaged"])
    export_checkpoint(
        out,
        vae=vae,
        encoder=stage.encoder,
        tokenizer=tokenizer,
        unet=stage.unet,
        scheduler=build_scheduler(),
        guidance=guidance,
    )
    return int(kept["seen"])
