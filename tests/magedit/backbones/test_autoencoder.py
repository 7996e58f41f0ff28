"""Encoding and decoding by the VAE."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image

from magedit.backbones.autoencoder import decode, encode, upcast
from magedit.errors import EditDiverged, PictureNotFinite

CPU = torch.device("cpu")
CROP = Image.new("RGB", (32, 32), (200, 60, 20))


@pytest.fixture
def vae() -> AutoencoderKL:
    torch.manual_seed(0)
    made: AutoencoderKL = AutoencoderKL(
        block_out_channels=(16, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        scaling_factor=0.5,
        shift_factor=0.25,
    )
    return made.eval().requires_grad_(False)


def test_latents_are_shifted_and_scaled(vae: AutoencoderKL) -> None:
    latent = encode(vae, CROP, CPU)
    assert (latent.shape, latent.dtype) == ((1, 4, 16, 16), torch.float32)
    vae.register_to_config(scaling_factor=1.0, shift_factor=None)
    assert torch.allclose(latent, (encode(vae, CROP, CPU) - 0.25) * 0.5)


def test_decoding_reverses_shift_and_scale(vae: AutoencoderKL) -> None:
    latent = encode(vae, CROP, CPU)
    picture = decode(vae, latent)
    vae.register_to_config(scaling_factor=1.0, shift_factor=None)
    assert picture.size == CROP.size
    assert decode(vae, latent / 0.5 + 0.25).tobytes() == picture.tobytes()


def test_a_latent_that_is_not_finite_is_the_edits_fault(vae: AutoencoderKL) -> None:
    with pytest.raises(EditDiverged, match=r"smaller `guidance_step_size`.*it is in float32"):
        decode(vae, torch.full((1, 4, 16, 16), torch.inf))


def test_damaged_weights_are_reported_with_the_cure(vae: AutoencoderKL) -> None:
    latent = encode(vae, CROP, CPU)
    for part in (vae.encoder, vae.decoder):
        part.conv_in.weight.fill_(torch.nan)
    for run in (lambda: encode(vae, CROP, CPU), lambda: decode(vae, latent)):
        with pytest.raises(PictureNotFinite, match=r"in float32; use another VAE \(MAGEDIT_VAE\)"):
            run()


def test_upcast_lasts_for_the_context_and_only_where_configured(vae: AutoencoderKL) -> None:
    vae.to(torch.float16)
    with upcast(vae):
        assert vae.dtype is torch.float32
    assert vae.dtype is torch.float16
    vae.register_to_config(force_upcast=False)
    with upcast(vae):
        assert vae.dtype is torch.float16
