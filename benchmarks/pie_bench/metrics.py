"""The figures of PIE-Bench (Ju et al., arXiv 2310.01506, section 5.1) as its published evaluation computes them.

Pictures are arrays (height, width, 3) of 0..255; masks (height, width) of 0 and 1. A figure of a part of the picture is
that of the whole with everything else black in both pictures, as published.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

Picture = NDArray[np.uint8]
Mask = NDArray[np.uint8]

SSIM_WINDOW, SSIM_SIGMA = 11, 1.5
"""Gaussian window of SSIM, in pixels (Wang et al. 2004, doi 10.1109/TIP.2003.819861)."""

SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2
"""Stabilizers of SSIM for values 0..1, likewise."""

DINO_SIDE = 224
"""Shorter side in pixels at which structure is compared (published evaluation)."""

DINO_LAYER = 11
"""Layer of ViT-B/8 whose keys are compared, from 0 (published evaluation)."""

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of ImageNet's pixels in 0..1."""

LPIPS_SCALING = ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450))
"""Shift and scale of LPIPS' input in -1..1 (Zhang et al., arXiv 1801.03924, published weights)."""


def only(picture: Picture, mask: Mask | None) -> NDArray[np.float32]:
    """The picture in 0..1, black where ``mask`` is 0."""
    pixels = (picture / 255).astype(np.float32)
    kept: NDArray[np.float32] = pixels if mask is None else pixels * mask[..., None].astype(np.float32)
    return kept


def mse(one: Picture, other: Picture, mask: Mask | None = None) -> float:
    """Mean squared error of values in 0..1."""
    return float(np.square(only(one, mask) - only(other, mask)).mean())


def psnr(one: Picture, other: Picture, mask: Mask | None = None) -> float:
    """Peak signal-to-noise ratio in dB; infinite for equal pictures."""
    error = mse(one, other, mask)
    return float(10 * np.log10(1 / error)) if error else float("inf")


def ssim(one: Picture, other: Picture, mask: Mask | None = None) -> float:
    """Structural similarity, -1..1, mean over channels and over pixels whose window lies within the picture."""
    reach = torch.arange(SSIM_WINDOW, dtype=torch.float64) - SSIM_WINDOW // 2
    line = torch.exp(-(reach**2) / (2 * SSIM_SIGMA**2))
    line = line / line.sum()
    window = (line[:, None] * line[None, :]).expand(3, 1, -1, -1)
    x, y = (torch.tensor(only(each, mask), dtype=torch.float64).permute(2, 0, 1)[None] for each in (one, other))

    def smooth(values: Tensor) -> Tensor:
        return F.conv2d(values, window, groups=3)

    mean_x, mean_y = smooth(x), smooth(y)
    var_x, var_y = smooth(x * x) - mean_x**2, smooth(y * y) - mean_y**2
    covariance = smooth(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + SSIM_C1) / (mean_x**2 + mean_y**2 + SSIM_C1)
    return float((luminance * (2 * covariance + SSIM_C2) / (var_x + var_y + SSIM_C2)).mean())


def self_similarity(keys: Tensor) -> Tensor:
    """Cosine similarity (N, N) of one layer's keys (N, width), heads side by side (arXiv 2201.00424, equation 4)."""
    normed = F.normalize(keys, dim=-1, eps=1e-8)
    return normed @ normed.T


class Structure:
    """Structure distance: mean squared difference of two pictures' self-similarities in a DINO ViT (ViT-B/8)."""

    def __init__(self, model: nn.Module, device: str = "cpu") -> None:
        self._model, self._device = model.eval().to(device), device
        self._layer = [each for name, each in model.named_modules() if name.endswith(("attention.key", ".k_proj"))][
            DINO_LAYER
        ]

    @classmethod
    def load(cls, folder: str, device: str = "cpu") -> Structure:
        """From a folder or hub id of transformers layout (facebook/dino-vitb8)."""
        from transformers import ViTModel

        return cls(ViTModel.from_pretrained(folder, add_pooling_layer=False), device)

    @torch.no_grad()
    def __call__(self, one: Picture, other: Picture) -> float:
        """The distance, 0 for equal pictures."""
        return float(F.mse_loss(self._similarity(other), self._similarity(one)))

    def _similarity(self, picture: Picture) -> Tensor:
        # The published evaluation normalizes values of 0..255 as if they were 0..1; so do figures that compare with it.
        pixels = torch.tensor(picture, dtype=torch.float32, device=self._device).permute(2, 0, 1)[None]
        height, width = pixels.shape[-2:]
        scale = DINO_SIDE / min(height, width)
        size = (max(DINO_SIDE, round(height * scale)), max(DINO_SIDE, round(width * scale)))
        pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True, align_corners=False)
        mean, deviation = (torch.tensor(each, device=self._device)[:, None, None] for each in IMAGENET)
        found: list[Tensor] = []
        hook = self._layer.register_forward_hook(lambda _module, _inputs, keys: found.append(keys[0]))
        try:
            self._model(pixel_values=(pixels - mean) / deviation, interpolate_pos_encoding=True)
        finally:
            hook.remove()
        return self_similarity(found[0])


class TextSimilarity:
    """CLIP score: 100 times the cosine similarity of picture and prompt, at least 0 (arXiv 2104.08718; ViT-L/14)."""

    def __init__(self, model: Any, processor: Callable[..., Any], device: str = "cpu") -> None:
        self._model, self._processor, self._device = model.eval().to(device), processor, device

    @classmethod
    def load(cls, folder: str, device: str = "cpu") -> TextSimilarity:
        """From a folder or hub id of transformers layout (openai/clip-vit-large-patch14)."""
        from transformers import CLIPModel, CLIPProcessor

        return cls(CLIPModel.from_pretrained(folder), CLIPProcessor.from_pretrained(folder), device)

    @torch.no_grad()
    def __call__(self, picture: Picture, prompt: str, mask: Mask | None = None) -> float:
        """The score of the picture, or of its part inside ``mask``."""
        shown = picture if mask is None else picture * mask[..., None]
        inputs = self._processor(text=[prompt], images=Image.fromarray(shown), return_tensors="pt", truncation=True)
        output = self._model(**{name: each.to(self._device) for name, each in inputs.items()})
        image, text = F.normalize(output.image_embeds, dim=-1), F.normalize(output.text_embeds, dim=-1)
        return max(0.0, 100 * float((image * text).sum()))


class Lpips(nn.Module):
    """LPIPS on SqueezeNet 1.1 (Zhang et al., arXiv 1801.03924, equation 1).

    Names of weights are those of the published files: ``features.*`` of torchvision's SqueezeNet and
    ``lin0..6.model.1.weight`` of LPIPS.
    """

    SLICES = ((0, 2), (2, 5), (5, 8), (8, 10), (10, 11), (11, 12), (12, 13))
    WIDTHS = (64, 128, 256, 384, 384, 512, 512)

    def __init__(self) -> None:
        super().__init__()
        early = ((64, 16, 64), (128, 16, 64), (128, 32, 128), (256, 32, 128))
        late = ((256, 48, 192), (384, 48, 192), (384, 64, 256), (512, 64, 256))
        fires = [_Fire(*each) for each in (*early, *late)]

        def pool() -> nn.Module:
            return nn.MaxPool2d(3, 2, ceil_mode=True)

        head: list[nn.Module] = [nn.Conv2d(3, 64, 3, stride=2), nn.ReLU(), pool()]
        self.features = nn.Sequential(*head, *fires[:2], pool(), *fires[2:4], pool(), *fires[4:])
        for number, width in enumerate(self.WIDTHS):
            lin = nn.Sequential()
            lin.add_module("model", nn.Sequential(nn.Dropout(), nn.Conv2d(width, 1, 1, bias=False)))
            self.add_module(f"lin{number}", lin)

    @classmethod
    def load(cls, files: Sequence[Path], device: str = "cpu") -> Lpips:
        """From the published weights: torchvision's squeezenet1_1 and LPIPS' squeeze.pth, in any order."""
        weights: dict[str, Tensor] = {}
        for file in files:
            weights |= torch.load(file, map_location="cpu", weights_only=True)
        model = cls()
        model.load_state_dict({name: each for name, each in weights.items() if name.startswith(("features.", "lin"))})
        return model.eval().to(device)

    @torch.no_grad()
    def distance(self, one: Picture, other: Picture, mask: Mask | None = None) -> float:
        """The distance, 0 for equal pictures."""
        first, second = (self._activations(only(each, mask)) for each in (one, other))
        total = 0.0
        for number, (x, y) in enumerate(zip(first, second, strict=True)):
            weight = self.get_parameter(f"lin{number}.model.1.weight")
            total += float(F.conv2d((F.normalize(x, dim=1) - F.normalize(y, dim=1)) ** 2, weight).mean())
        return total

    def _activations(self, pixels: NDArray[np.float32]) -> list[Tensor]:
        device = self.get_parameter("features.0.weight").device
        shift, scale = (torch.tensor(each, device=device)[:, None, None] for each in LPIPS_SCALING)
        states = torch.tensor(pixels, device=device).permute(2, 0, 1)[None] * 2 - 1
        states = (states - shift) / scale
        found = []
        for start, end in self.SLICES:
            states = self.features[start:end](states)
            found.append(states)
        return found


class _Fire(nn.Module):
    """A block of SqueezeNet (arXiv 1602.07360, figure 1)."""

    def __init__(self, width: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(width, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, states: Tensor) -> Tensor:
        squeezed = self.squeeze(states).relu()
        return torch.cat([self.expand1x1(squeezed).relu(), self.expand3x3(squeezed).relu()], 1)
