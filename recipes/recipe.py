"""The whole recipe, from nothing to a checkpoint: text encoder, VAE, latents, UNet (with the text encoder), export.

Every process runs this same sequence; a killed run starts it again and each stage goes on from its snapshot.
"""

import hashlib
import multiprocessing
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from recipes.export import Guidance, export_checkpoint
from recipes.loop import Run, snapshot_path, train
from recipes.presets import Preset
from recipes.text import TextStage
from recipes.tokenizer import build_tokenizer
from recipes.unet import (
    ENCODED_AT_ONCE,
    SHARD,
    UnetStage,
    build_scheduler,
    encode_shard,
    training_scene,
)
from recipes.vae import VaeStage, normalize_latents, pixels

MEASURED = 256
"""Pictures from which the latents' mean and deviation are measured."""


def _wait(run: Run) -> None:
    if run.processes > 1:
        dist.barrier()


def _tokenizer(run: Run) -> CLIPTokenizer:
    folder = run.state / "tokenizer"
    if run.rank == 0:
        build_tokenizer(folder)
    _wait(run)
    return CLIPTokenizer.from_pretrained(folder)


def _seeded(preset: Preset, stage: str) -> None:
    torch.manual_seed(preset.seed + sum(stage.encode()))  # the same initial weights in every process


def train_text(preset: Preset, run: Run, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """The trained text encoder."""
    _seeded(preset, "text")
    stage = TextStage(preset, tokenizer)
    train(stage, run)
    return stage.tagger.encoder.requires_grad_(False).eval()


@torch.no_grad()
def _normalized(vae: AutoencoderKL, preset: Preset) -> AutoencoderKL:
    device = next(vae.parameters()).device
    scenes = [training_scene(preset.seed, index) for index in range(MEASURED)]
    latents = [
        vae.encode(pixels(scenes[start : start + ENCODED_AT_ONCE], preset.size).to(device)).latent_dist.mean
        for start in range(0, MEASURED, ENCODED_AT_ONCE)
    ]
    normalize_latents(vae, torch.cat(latents))
    return vae


def train_vae(preset: Preset, run: Run) -> AutoencoderKL:
    """The trained VAE, its latents normalized."""
    _seeded(preset, "vae")
    stage = VaeStage(preset)
    train(stage, run)
    vae: AutoencoderKL = stage.model.requires_grad_(False).eval()
    return _normalized(vae, preset)


def _fingerprint(model: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for value in model.state_dict().values():
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def make_latents(preset: Preset, run: Run, vae: AutoencoderKL) -> torch.Tensor:
    """The training set's latents: (pictures, 4, h, w), float16; the processes share the shards out."""
    # a VAE that was trained on has other latents, and another seed other rooms
    folder = run.state / f"latents-{preset.seed}-{_fingerprint(vae)}"
    shards = range(-(-preset.unet.pictures // SHARD))
    for number in shards[run.rank :: run.processes]:
        encode_shard(vae, preset, number, folder)
    _wait(run)
    return torch.cat([encode_shard(vae, preset, number, folder) for number in shards])


def _parts(preset: Preset, run: Run, start: Path | None) -> tuple[CLIPTokenizer, CLIPTextModel, AutoencoderKL]:
    """What the UNet is trained against: of the checkpoint `start`, or trained here."""
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


def train_all(preset: Preset, run: Run, out: Path, guidance: Guidance, start: Path | None = None) -> None:
    """Trains what is not trained yet and exports the checkpoint to `out`.

    With `start`, the folder of a checkpoint, its VAE is taken as it is, its UNet is trained on, and with it, if the
    preset says so, its text encoder.

    Raises:
        OutOfBudgetError: the run's deadline passed; the same call goes on from the snapshots.
    """
    tokenizer, encoder, vae = _parts(preset, run, start)
    latents = make_latents(preset, run, vae)
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
    """Exports what a run in progress has reached: the samples that its UNet had seen.

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


def _work(
    rank: int,
    processes: int,
    meeting: str,
    preset: Preset,
    state: Path,
    out: Path,
    budget_s: float | None,
    guidance: Guidance,
    start: Path | None,
) -> None:
    torch.set_num_threads(1)
    deadline = None if budget_s is None else time.monotonic() + budget_s
    run = Run(
        state=state,
        seed=preset.seed,
        rank=rank,
        processes=processes,
        snapshot_s=preset.snapshot_s,
        deadline=deadline,
    )
    if processes > 1:
        dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=processes)
    try:
        train_all(preset, run, out, guidance, start)
    finally:
        if processes > 1:
            dist.destroy_process_group()


def train_in_processes(
    preset: Preset,
    *,
    state: Path,
    out: Path,
    guidance: Guidance,
    processes: int = 1,
    budget_s: float | None = None,
    start: Path | None = None,
) -> None:
    """Runs the recipe in this process and `processes - 1` others, one thread each, averaging their gradients.

    `start`: see `train_all`.

    Raises:
        OutOfBudgetError: `budget_s` seconds passed; the same call goes on from the snapshots.
    """
    state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        meeting = str(Path(folder) / "meeting")
        common = (processes, meeting, preset, state, out, budget_s, guidance, start)
        spawn = multiprocessing.get_context("spawn")
        others = [spawn.Process(target=_work, args=(rank, *common), daemon=True) for rank in range(1, processes)]
        for other in others:
            other.start()
        try:
            _work(0, *common)
        finally:
            for other in others:
                other.join(timeout=30)
