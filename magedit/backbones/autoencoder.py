"""Encoding of pictures into latents and back, with checks of both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import AutoencoderKL
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from torch import Tensor

from magedit.errors import EditDiverged, PictureNotFinite


def encode(vae: AutoencoderKL, crop: Image.Image, device: torch.device) -> Tensor:
    """Latent (1, C, h, w), fp32, of a picture of the checkpoint's size: posterior mean, shifted and scaled.

    Raises:
        PictureNotFinite: it is NaN or infinite.
    """
    # A batch from a picture is channels-last, for which torch's CPU kernels are off by 1e-3.
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    batch = VaeImageProcessor(vae_scale_factor=factor).preprocess(crop).to(device, vae.dtype).contiguous()
    latent: Tensor = vae.encode(batch).latent_dist.mean.float()
    latent = (latent - shift if (shift := vae.config.shift_factor) else latent) * vae.config.scaling_factor
    require_finite(latent, vae, "the picture's latent")
    return latent


def decode(vae: AutoencoderKL, latent: Tensor) -> Image.Image:
    """The picture of a latent (1, C, h, w).

    Raises:
        EditDiverged: the latent is not finite.
        PictureNotFinite: the VAE's output is not finite.
    """
    if not torch.isfinite(latent).all():
        raise EditDiverged(
            "the latent is no longer finite after sampling: use a smaller `guidance_step_size` or `guidance_scale`, "
            f"or MAGEDIT_DTYPE=float32 if the model is in half precision (it is in {_name(vae.dtype)})"
        )
    latent = latent / vae.config.scaling_factor + (vae.config.shift_factor or 0.0)
    decoded = vae.decode(latent.to(vae.dtype), return_dict=False)[0]
    require_finite(decoded, vae, "the decoded picture")
    pictures: list[Image.Image] = VaeImageProcessor().postprocess(decoded.float(), output_type="pil")
    return pictures[0]


@contextmanager
def upcast(vae: AutoencoderKL) -> Iterator[None]:
    """Run a float16 VAE in float32 inside the context if its config sets ``force_upcast``."""
    if vae.dtype is not torch.float16 or not vae.config.force_upcast:
        yield
        return
    vae.to(torch.float32)
    try:
        yield
    finally:
        vae.to(torch.float16)


def require_finite(tensor: Tensor, vae: AutoencoderKL, what: str) -> None:
    """Raise PictureNotFinite if the VAE's output has NaN or infinite values."""
    if torch.isfinite(tensor).all():
        return
    cure = "MAGEDIT_DTYPE=float32 (in the library `dtype=torch.float32`), or another VAE (MAGEDIT_VAE)"
    if vae.dtype == torch.float32:
        cure = "another VAE (MAGEDIT_VAE): the weights of this one are damaged"
    raise PictureNotFinite(f"{what} is NaN or infinite: the VAE overflows in {_name(vae.dtype)}; use {cure}")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def is_objectionable(pipe: Any, picture: Image.Image, device: torch.device) -> bool | None:
    """The verdict of a pipeline's safety checker on ``picture``, which is not changed; None: it has no checker."""
    if pipe.safety_checker is None or pipe.feature_extractor is None:
        return None
    inputs = pipe.feature_extractor(picture, return_tensors="pt").pixel_values.to(device, pipe.vae.dtype)
    _, flagged = pipe.safety_checker(images=VaeImageProcessor.pil_to_numpy(picture), clip_input=inputs)
    return any(bool(verdict) for verdict in flagged)
