"""The consistency stage: the demo's UNet learns to map any noise level to the picture in one pass.

Latent consistency distillation (Luo et al. 2023, arXiv 2310.04378, section 4): the teacher's DDIM steps with
classifier-free guidance are the path, the guidance scale is an input of the student.
"""

import random
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL, LCMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from magedit.backbones.stable_diffusion.guidance_embedding import guidance_embedding
from magedit.demo.model import tokenize
from recipes.export import Guidance, export_checkpoint
from recipes.presets.parameters import Preset
from recipes.stages.unet import UnetStage, build_scheduler, training_scene
from recipes.training.latents import make_latents
from recipes.training.loop import Run, snapshot_path, train

HUBER = 1e-3
"""Constant of the pseudo-Huber loss (published program: 0.001)."""


def build_consistency_scheduler(steps: int) -> LCMScheduler:
    """Stable Diffusion's noise schedule, sampled at some of the teacher's `steps` timesteps."""
    teacher = build_scheduler().config
    return LCMScheduler(
        beta_start=teacher.beta_start,
        beta_end=teacher.beta_end,
        beta_schedule=teacher.beta_schedule,
        set_alpha_to_one=False,
        steps_offset=teacher.steps_offset,
        original_inference_steps=steps,
    )


class ConsistencyStage(UnetStage):
    """The student learns to give the same picture for a noisy latent and the teacher's next one."""

    name = "consistency"

    def __init__(
        self,
        preset: Preset,
        tokenizer: CLIPTokenizer,
        encoder: CLIPTextModel,
        latents: Tensor,
        teacher: UNet2DConditionModel,
    ) -> None:
        self.distilled = preset.consistency
        self.teacher = teacher.requires_grad_(False).eval().to(preset.device)
        super().__init__(
            replace(preset, unet=replace(preset.unet, tune_text=False)), tokenizer, encoder.eval(), latents
        )
        self.schedule, self.average = self.distilled.schedule, self.distilled.average
        # Only the projection of the guidance embedding is new; it starts at zero, so that the student equals the
        # teacher.
        missing = self.unet.load_state_dict(teacher.state_dict(), strict=False).missing_keys
        for name in missing:
            self.unet.get_parameter(name).data.zero_()
        self.boundary = build_consistency_scheduler(self.distilled.steps)

    def build(self) -> UNet2DConditionModel:
        """A UNet like the teacher's that takes a guidance embedding."""
        config = {**self.teacher.config, "time_cond_proj_dim": self.distilled.embedding}
        student: UNet2DConditionModel = UNet2DConditionModel.from_config(config)
        return student

    def picture(self, latents: Tensor, time: Tensor, context: Tensor, scale: Tensor) -> Tensor:
        """The student's clean latents for noisy ones (n, 4, h, w), the consistency function (eq. 9)."""
        predicted = self.unet(latents, time, context, timestep_cond=guidance_embedding(scale, self.distilled.embedding))
        alpha = self.alphas[time][:, None, None, None]
        clean = (latents - (1 - alpha).sqrt() * predicted.sample) / alpha.sqrt()
        skip, out = self.boundary.get_scalings_for_boundary_condition_discrete(time[:, None, None, None])
        picture: Tensor = skip * latents + out * clean
        return picture

    def loss(self, seed: str, progress: float) -> tuple[Tensor, dict[str, float]]:
        """See `Stage.loss`."""
        del progress
        rng = random.Random(seed)
        number, stride = self.schedule.batch, len(self.alphas) // self.distilled.steps
        examples = self.examples(rng)
        clean = examples.latents.to(self.device)
        noise_source = torch.Generator(self.device).manual_seed(rng.getrandbits(62))
        noise = torch.randn(clean.shape, generator=noise_source, device=self.device)
        points = [int((index + rng.random()) / number * self.distilled.steps) + 1 for index in range(number)]
        scales = [rng.uniform(*self.distilled.guidance) for _ in range(number)]
        time, scale = torch.tensor(points, device=self.device) * stride - 1, torch.tensor(scales, device=self.device)
        following = (time - stride).clamp_min(0)
        alpha, next_alpha = (self.alphas[t][:, None, None, None] for t in (time, following))
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        with torch.no_grad():
            texts = [*examples.texts, ""]
            states = self.encoder(tokenize(self.tokenizer, texts).to(self.device)).last_hidden_state
            context, empty = states[:-1], states[-1:].expand(number, -1, -1)
            both = self.teacher(torch.cat([noisy, noisy]), torch.cat([time, time]), torch.cat([empty, context])).sample
            unconditional, conditional = both.chunk(2)
            guided = unconditional + scale[:, None, None, None] * (conditional - unconditional)
            drawn = (noisy - (1 - alpha).sqrt() * guided) / alpha.sqrt()
            nearer = next_alpha.sqrt() * drawn + (1 - next_alpha).sqrt() * guided
            wanted = self.picture(nearer, following, context, scale)
        error = self.picture(noisy, time, context, scale) - wanted
        return ((error**2 + HUBER**2).sqrt() - HUBER).mean(), {"error": error.detach().square().mean().item()}


def _stage(preset: Preset, run: Run, start: Path, *, encoded: bool = True) -> tuple[ConsistencyStage, AutoencoderKL]:
    """The stage on checkpoint `start`, without its latents unless they are to be `encoded`, and the VAE."""
    torch.manual_seed(preset.seed)
    tokenizer = CLIPTokenizer.from_pretrained(start / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(start / "text_encoder")
    teacher = UNet2DConditionModel.from_pretrained(start / "unet", torch_dtype=torch.float32)
    vae = AutoencoderKL.from_pretrained(start / "vae", torch_dtype=torch.float32).requires_grad_(False).eval()
    latents = torch.zeros(1)
    if encoded:
        rooms, pictures = partial(training_scene, preset.seed), preset.consistency.pictures
        latents = make_latents(vae.to(preset.device), rooms, pictures, preset.size, run)
    return ConsistencyStage(preset, tokenizer, encoder, latents, teacher), vae


def _export(stage: ConsistencyStage, vae: AutoencoderKL, guidance: Guidance, out: Path) -> None:
    export_checkpoint(
        out,
        vae=vae,
        encoder=stage.encoder,
        tokenizer=stage.tokenizer,
        unet=stage.unet,
        scheduler=stage.boundary,
        guidance=guidance,
    )


def train_consistency(run: Run, *, preset: Preset, out: Path, guidance: Guidance, start: Path) -> None:
    """Distils the checkpoint ``start`` and exports the result to ``out``; its VAE and text encoder stay.

    Raises:
        OutOfBudgetError: the run's deadline passed; the same call resumes from the snapshot.
    """
    stage, vae = _stage(preset, run, start)
    train(stage, run)
    if run.rank == 0:
        _export(stage, vae, guidance, out)


def export_consistency_snapshot(preset: Preset, state: Path, out: Path, guidance: Guidance, start: Path) -> int:
    """Exports the checkpoint of a run in progress; returns the number of samples that it has seen.

    Raises:
        FileNotFoundError: there is no snapshot yet.
    """
    run = Run(state=state, seed=preset.seed)
    path = snapshot_path(run, ConsistencyStage.name)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: the consistency stage has written no snapshot yet")
    stage, vae = _stage(preset, run, start, encoded=False)
    kept = torch.load(path, map_location="cpu", weights_only=True)
    stage.model.load_state_dict(kept["averaged"])
    _export(stage, vae, guidance, out)
    return int(kept["seen"])
