"""The VAE stage: AutoencoderKL in Stable Diffusion's layout, f = 8."""

import random
from collections.abc import Callable

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from magedit.demo.draw import draw_scene
from magedit.demo.scene import Scene, sample_scene
from recipes.presets.parameters import FlowPreset, Preset, VaeRecipe

FACTOR = 8
"""Pixels per latent cell and axis: four blocks, three of which halve."""
LATENT_CHANNELS = 4
"""As in Stable Diffusion 1 and 2."""


def build_vae(recipe: VaeRecipe, size: int) -> AutoencoderKL:
    """An untrained VAE for pictures of `size` x `size` pixels."""
    blocks = len(recipe.channels)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        block_out_channels=recipe.channels,
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        layers_per_block=recipe.layers,
        latent_channels=recipe.latents,
        norm_num_groups=recipe.groups,
        mid_block_add_attention=recipe.attention,
        sample_size=size,
        scaling_factor=1.0,
    )


def pixels(scenes: list[Scene], size: int) -> Tensor:
    """The pictures of scenes: (n, 3, size, size), in [-1, 1]."""
    stack = np.stack([np.asarray(draw_scene(scene, size)) for scene in scenes])
    return torch.from_numpy(stack).permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1


class VaeStage:
    """L1 + 2 MSE + KL on aligned crops, then on whole pictures."""

    name = "vae"
    average = 0.0

    def __init__(
        self,
        preset: Preset | FlowPreset,
        sample: Callable[[random.Random], Scene] = sample_scene,
    ) -> None:
        self.recipe = preset.vae
        self.size = preset.size
        self.sample = sample
        self.schedule = preset.vae.schedule
        self.device = torch.device(preset.device)
        self.model: nn.Module = build_vae(preset.vae, preset.size).to(self.device)

    def batch(self, rng: random.Random, whole: bool) -> Tensor:
        """Whole pictures or crops on the latent grid, as many pixels either way: (n, 3, side, side)."""
        crop = self.recipe.crop
        if whole:
            number = max(1, self.schedule.batch * crop**2 // self.size**2)
            return pixels([self.sample(rng) for _ in range(number)], self.size)
        pictures = pixels([self.sample(rng) for _ in range(self.schedule.batch)], self.size)
        cells = (self.size - crop) // FACTOR
        corners = [(FACTOR * rng.randint(0, cells), FACTOR * rng.randint(0, cells)) for _ in pictures]
        return torch.stack(
            [picture[:, y : y + crop, x : x + crop] for picture, (y, x) in zip(pictures, corners, strict=True)]
        )

    def loss(self, seed: str, progress: float) -> tuple[Tensor, dict[str, float]]:
        """See `Stage.loss`; logs the PSNR in dB."""
        rng = random.Random(seed)
        picture = self.batch(rng, progress > 1 - self.recipe.whole).to(self.device)
        noise = torch.Generator(self.device).manual_seed(rng.getrandbits(62))
        vae: AutoencoderKL = self.model
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bfloat16):
            posterior = vae.encode(picture).latent_dist
            drawn = vae.decode(posterior.sample(noise)).sample
        error = drawn.float() - picture
        square = error.square().mean()
        kl = 0.5 * (posterior.mean.square() + posterior.var - 1 - posterior.logvar).mean()
        loss = error.abs().mean() + 2 * square + self.recipe.kl * kl
        return loss, {"psnr": psnr(square.item()), "kl": kl.item()}


def psnr(square: float) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error between pictures in [-1, 1]."""
    return float(10 * np.log10(4 / square))


@torch.no_grad()
def normalize_latents(vae: AutoencoderKL, latents: Tensor, scale: float = 1.0, shift: float = 0.0) -> None:
    """Folds the latents' mean and deviation per channel into the 1x1 convolutions around them.

    Afterwards the VAE decodes exactly as before, and `(latents - shift) * scale` has mean 0 and deviation 1 in every
    channel, where `latents` (given here before the fold: (n, c, h, w)) are what its encoder gives. Scale and shift
    become its `scaling_factor` and, unless 0, `shift_factor`.
    """
    deviation = latents.std((0, 2, 3)) * scale
    mean = latents.mean((0, 2, 3)) - shift * deviation
    channels = latents.shape[1]
    quant, post = vae.quant_conv, vae.post_quant_conv
    quant.weight.div_(torch.cat([deviation, torch.ones_like(deviation)])[:, None, None, None])
    quant.bias[:channels] = (quant.bias[:channels] - mean) / deviation
    quant.bias[channels:] -= 2 * deviation.log()
    post.bias += post.weight[:, :, 0, 0] @ mean
    post.weight.mul_(deviation[None, :, None, None])
    vae.register_to_config(scaling_factor=scale, shift_factor=shift or None)
