import random
from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKL

from magedit.demo.scene import sample_scene
from recipes.presets.flow import FLOW_TOY
from recipes.presets.stable_diffusion import TOY
from recipes.stages.flow import draw_room
from recipes.stages.vae import VaeStage, build_vae, normalize_latents, pixels, psnr


def test_pictures_come_in_the_range_of_the_vae() -> None:
    batch = pixels([sample_scene(random.Random(0))] * 2, 64)
    assert batch.shape == (2, 3, 64, 64)
    assert -1 <= batch.min() < batch.max() <= 1


def test_batches_are_crops_and_then_whole_pictures_with_as_many_pixels() -> None:
    stage = VaeStage(TOY)
    assert stage.batch(random.Random(0), whole=False).shape == (4, 3, 32, 32)
    assert stage.batch(random.Random(0), whole=True).shape == (1, 3, 64, 64)


def test_the_loss_depends_only_on_its_seed() -> None:
    stage = VaeStage(TOY)
    first, figures = stage.loss("a", 0.0)
    assert stage.loss("a", 0.0)[0].item() == first.item() != stage.loss("b", 0.0)[0].item()
    assert set(figures) == {"psnr", "kl"}


def test_normalizing_keeps_the_picture_and_yields_unit_latents() -> None:
    torch.manual_seed(0)
    vae: AutoencoderKL = build_vae(TOY.vae, 64).eval()
    picture = pixels([sample_scene(random.Random(seed)) for seed in range(4)], 64)
    with torch.no_grad():
        before = vae.encode(picture).latent_dist
        decoded = vae.decode(before.mean).sample
        normalize_latents(vae, before.mean)
        after = vae.encode(picture).latent_dist
        torch.testing.assert_close(vae.decode(after.mean).sample, decoded, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(after.std / before.std, (after.std / before.std)[:1, :, :1, :1].expand(4, -1, 8, 8))
    assert after.mean.mean((0, 2, 3)).abs().max() < 1e-4
    torch.testing.assert_close(after.mean.std((0, 2, 3)), torch.ones(4), rtol=1e-3, atol=1e-3)


def test_psnr_of_a_known_error() -> None:
    assert abs(psnr(0.04) - 20.0) < 1e-9


def test_the_middle_blocks_attend_only_on_request() -> None:
    torch.manual_seed(0)
    vae = build_vae(FLOW_TOY.vae, 64)
    assert vae.encoder.mid_block.attentions[0] is None is vae.decoder.mid_block.attentions[0]
    assert vae.config.latent_channels == 8


def test_bfloat16_changes_little() -> None:
    torch.manual_seed(0)
    stage = VaeStage(FLOW_TOY, draw_room)
    exact = stage.loss("a", 0.0)[0].item()
    stage.recipe = replace(stage.recipe, bfloat16=True)
    assert stage.loss("a", 0.0)[0].item() == pytest.approx(exact, rel=0.02)
