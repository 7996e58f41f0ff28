"""The whole recipe of a checkpoint in Stable Diffusion 3's layout: text encoders, VAE, latents, transformer, export.

Every process runs this same sequence; a killed run starts it again and each stage resumes from its snapshot.
"""

from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL, SD3Transformer2DModel
from torch import Tensor
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from magedit.demo.vocabulary import TOLD
from recipes.export import export_flow_checkpoint
from recipes.presets.parameters import FlowPreset
from recipes.stages.flow import FlowStage, TowersStage, build_flow_scheduler, draw_room, flow_scene
from recipes.stages.tokenizer import kept_tokenizer
from recipes.stages.vae import VaeStage
from recipes.training.latents import make_latents, normalized, wait
from recipes.training.loop import Run, snapshot_path, train

SCALE, SHIFT = 1.5305, 0.0609
"""Scaling and shift of Stable Diffusion 3's latents."""

Parts = tuple[CLIPTokenizer, list[CLIPTextModelWithProjection], AutoencoderKL]


def _parts(preset: FlowPreset, run: Run, start: Path | None) -> Parts:
    """The frozen parts for training the transformer: from the checkpoint `start`, or trained here."""
    if start is not None:
        encoders = [
            CLIPTextModelWithProjection.from_pretrained(start / name, dtype=torch.float32)
            for name in ("text_encoder", "text_encoder_2")
        ]
        vae = AutoencoderKL.from_pretrained(start / "vae", torch_dtype=torch.float32)
        return CLIPTokenizer.from_pretrained(start / "tokenizer"), encoders, _frozen(vae, preset)
    folder = run.state / "tokenizer"
    if run.rank == 0:
        kept_tokenizer(folder, TOLD)
    wait(run)
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    torch.manual_seed(preset.seed)  # the same initial weights in every process
    towers = TowersStage(preset, tokenizer)
    train(towers, run)
    torch.manual_seed(preset.seed + 1)
    vae_stage = VaeStage(preset, draw_room)
    train(vae_stage, run)
    vae = normalized(
        _frozen(vae_stage.model, preset), partial(flow_scene, preset.seed), preset.size, scale=SCALE, shift=SHIFT
    )
    return tokenizer, towers.encoders, vae


def _frozen(vae: AutoencoderKL, preset: FlowPreset) -> AutoencoderKL:
    return vae.requires_grad_(False).eval().to(preset.device)


def _stage(preset: FlowPreset, parts: Parts, latents: Tensor, start: Path | None) -> FlowStage:
    tokenizer, encoders, _ = parts
    torch.manual_seed(preset.seed + 2)
    stage = FlowStage(preset, tokenizer, encoders, latents)
    if start is not None:
        weights = SD3Transformer2DModel.from_pretrained(start / "transformer", torch_dtype=torch.float32).state_dict()
        stage.transformer.load_state_dict(weights)
    return stage


def _export(preset: FlowPreset, parts: Parts, stage: FlowStage, out: Path) -> None:
    tokenizer, encoders, vae = parts
    export_flow_checkpoint(
        out,
        vae=vae,
        encoders=encoders,
        tokenizer=tokenizer,
        transformer=stage.transformer,
        scheduler=build_flow_scheduler(preset.flow),
    )


def train_flow(run: Run, *, preset: FlowPreset, out: Path, start: Path | None = None) -> None:
    """Trains the missing stages and exports the checkpoint to `out`.

    With `start`, the folder of a checkpoint of this layout, its VAE is taken as it is; its transformer and text
    encoders are trained on.

    Raises:
        OutOfBudgetError: the run's deadline passed; the same call resumes from the snapshots.
    """
    parts = _parts(preset, run, start)
    rooms = partial(flow_scene, preset.seed)
    pictures, is_half = preset.flow.pictures, preset.vae.bfloat16
    latents = make_latents(parts[2], rooms, pictures, preset.size, run, bfloat16=is_half)
    stage = _stage(preset, parts, latents, start)
    train(stage, run)
    if run.rank == 0:
        _export(preset, parts, stage, out)


def export_flow_snapshot(preset: FlowPreset, state: Path, out: Path, start: Path | None = None) -> int:
    """Exports the checkpoint of a run in progress; returns the samples that its transformer has seen.

    Raises:
        FileNotFoundError: the stage has no snapshot yet.
    """
    run = Run(state=state, seed=preset.seed)
    path = snapshot_path(run, FlowStage.name)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: the transformer's stage has written no snapshot yet")
    parts = _parts(preset, run, start)
    stage = _stage(preset, parts, torch.zeros(1), start)
    kept = torch.load(path, map_location="cpu", weights_only=True)
    stage.model.load_state_dict(kept["averaged"])
    _export(preset, parts, stage, out)
    return int(kept["seen"])
