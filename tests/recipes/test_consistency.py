"""Consistency distillation: the student begins as its teacher, and one more step of the teacher changes nothing."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import LCMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer
from typer.testing import CliRunner

from magedit.backbones.checkpoints.inspect import inspect
from recipes.__main__ import app
from recipes.consistency import ConsistencyStage, export_consistency_snapshot, train_consistency
from recipes.export import Guidance
from recipes.presets.stable_diffusion import TOY
from recipes.training.loop import OutOfBudgetError, Run

GUIDANCE = Guidance(resolution=8, step_size=15.0, spatial_step_size=0.2)


@pytest.fixture
def stage(start: Path) -> ConsistencyStage:
    torch.manual_seed(1)
    return ConsistencyStage(
        TOY,
        CLIPTokenizer.from_pretrained(start / "tokenizer"),
        CLIPTextModel.from_pretrained(start / "text_encoder"),
        torch.randn(TOY.consistency.pictures, 4, 8, 8),
        UNet2DConditionModel.from_pretrained(start / "unet", torch_dtype=torch.float32),
    )


@torch.no_grad()
def test_the_student_starts_as_the_teacher_at_any_guidance(stage: ConsistencyStage) -> None:
    latents, context, time_step = torch.randn(2, 4, 8, 8), torch.randn(2, 77, TOY.text.width), torch.tensor([61, 991])
    alpha = stage.alphas[time_step][:, None, None, None]
    predicted = stage.teacher(latents, time_step, context).sample
    wanted = (latents - (1 - alpha).sqrt() * predicted) / alpha.sqrt()
    for scale in (1.0, 7.5):
        given = stage.picture(latents, time_step, context, torch.full((2,), scale))
        assert torch.allclose(given, wanted, atol=1e-3)


@torch.no_grad()
def test_at_no_noise_the_picture_is_the_latent_itself(stage: ConsistencyStage) -> None:
    latents, context = torch.randn(2, 4, 8, 8), torch.randn(2, 77, TOY.text.width)
    given = stage.picture(latents, torch.zeros(2, dtype=torch.long), context, torch.ones(2))
    assert torch.allclose(given, latents, atol=1e-6)


def test_only_the_student_learns(stage: ConsistencyStage) -> None:
    loss, figures = stage.loss("seed", 0.0)
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert figures["error"] > 0
    assert stage.loss("seed", 0.0)[0].item() == loss.item()
    assert all(weight.grad is not None for weight in stage.unet.parameters())
    assert all(weight.grad is None for part in (stage.teacher, stage.encoder) for weight in part.parameters())


def test_the_loss_falls(stage: ConsistencyStage) -> None:
    optimizer = torch.optim.Adam(stage.unet.parameters(), lr=2e-3)
    losses = []
    for _ in range(12):
        loss, _ = stage.loss("the same batch", 0.0)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_a_run_is_taken_up_again_and_its_checkpoint_draws_in_few_steps(start: Path, tmp_path: Path) -> None:
    state, out = tmp_path / "state", tmp_path / "out"
    late = Run(state=state, seed=1, snapshot_s=0.0, deadline=time.monotonic())
    with pytest.raises(OutOfBudgetError, match="run again"):
        train_consistency(late, preset=TOY, out=out, guidance=GUIDANCE, start=start)
    assert not out.exists()
    so_far = tmp_path / "so-far"
    seen = export_consistency_snapshot(replace(TOY, seed=1), state, so_far, GUIDANCE, start)
    assert seen == TOY.consistency.schedule.batch
    train_consistency(Run(state=state, seed=1), preset=TOY, out=out, guidance=GUIDANCE, start=start)
    for folder in (so_far, out):
        assert inspect(folder).family == "lcm"
        pipe = StableDiffusionPipeline.from_pretrained(folder)
        pipe.set_progress_bar_config(disable=True)
        assert isinstance(pipe.scheduler, LCMScheduler)
        assert pipe.scheduler.config.original_inference_steps == TOY.consistency.steps
        assert pipe.unet.config.time_cond_proj_dim == TOY.consistency.embedding
        drawn = pipe("a room", num_inference_steps=2, guidance_scale=4.0, output_type="np").images
        assert drawn.shape == (1, 64, 64, 3)


def test_a_run_without_a_snapshot_has_nothing_to_export(start: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no snapshot yet"):
        export_consistency_snapshot(TOY, tmp_path, tmp_path / "out", GUIDANCE, start)


def test_the_command_ends_with_its_own_code_where_its_budget_is_spent(start: Path, tmp_path: Path) -> None:
    folders = ["--state", str(tmp_path / "state"), "--out", str(tmp_path / "out"), "--start", str(start)]
    result = CliRunner().invoke(app, ["train-consistency", "--preset", "toy", *folders, "--budget-s", "0"])
    assert result.exit_code == 3, result.output
    result = CliRunner().invoke(app, ["export-consistency", "--preset", "toy", *folders])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "model_index.json").exists()
