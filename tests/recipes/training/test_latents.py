from functools import partial
from pathlib import Path

import torch

from recipes.presets.flow import FLOW_TOY
from recipes.presets.stable_diffusion import TOY
from recipes.stages.unet import training_scene
from recipes.stages.vae import build_vae
from recipes.training.latents import encode_shard, make_latents, normalized
from recipes.training.loop import Run

ROOMS = partial(training_scene, 1)


def test_a_shard_is_made_once(tmp_path: Path) -> None:
    torch.manual_seed(0)
    vae = build_vae(TOY.vae, TOY.size).eval()
    latents = encode_shard(vae, ROOMS, 12, TOY.size, 0, tmp_path)
    assert latents.shape == (12, 4, 8, 8)
    assert latents.dtype == torch.float16
    stored = (tmp_path / "latents-000.pt").stat().st_mtime_ns
    torch.testing.assert_close(encode_shard(vae, ROOMS, 12, TOY.size, 0, tmp_path), latents)
    assert (tmp_path / "latents-000.pt").stat().st_mtime_ns == stored


def test_latents_have_unit_deviation_behind_scale_and_shift(tmp_path: Path) -> None:
    torch.manual_seed(0)
    vae = build_vae(FLOW_TOY.vae, FLOW_TOY.size).eval().requires_grad_(False)
    normalized(vae, ROOMS, FLOW_TOY.size, scale=1.5, shift=0.25)
    assert (vae.config.scaling_factor, vae.config.shift_factor) == (1.5, 0.25)
    latents = make_latents(vae, ROOMS, 256, FLOW_TOY.size, Run(state=tmp_path, seed=1)).float()
    assert latents.mean((0, 2, 3)).abs().max() < 0.01
    torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(8), rtol=0.01, atol=0.01)


def test_latents_are_stored_per_vae(tmp_path: Path) -> None:
    run = Run(state=tmp_path, seed=1)
    for seed in (0, 1):
        torch.manual_seed(seed)
        make_latents(build_vae(TOY.vae, TOY.size).eval(), ROOMS, 4, TOY.size, run)
    assert len(list(tmp_path.glob("latents-1-*"))) == 2
