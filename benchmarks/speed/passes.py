"""Kinds of UNet pass in an edit: rows of each, and the cost of a row."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any
from unittest import mock

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

import magedit.backbones.stable_diffusion.layout
from benchmarks.speed.counters import Clock, counted, timed
from benchmarks.speed.released import plain
from magedit.backbones.base import Backbone, Conditioning, frozen, sites_at
from magedit.backbones.denoiser import Denoiser
from magedit.backbones.stable_diffusion.attention import capturing, find_sites
from magedit.backbones.stable_diffusion.truncated import attend_until
from magedit.config import EditConfig
from magedit.measures.meter import Meter


@dataclass(frozen=True)
class Passes:
    """UNet rows of each kind: whole forward without (``forward``) and with gradients (``graded``); forward up to the
    last map that is injected (``source``) or that guidance reads (``truncated``, with gradients); backward from the
    maps to the latent, and from the noise to the unconditional embedding (``embedding``)."""

    forward: int = 0
    graded: int = 0
    source: int = 0
    truncated: int = 0
    backward: int = 0
    embedding: int = 0

    def total(self, each: Mapping[str, float], *, formed: bool = False) -> float:
        """The sum of what ``each`` kind costs a row; ``formed``: with every map formed, as released."""
        kind = "plain {}" if formed else "{}"
        return sum((rows * each[kind.format(name)] for name, rows in asdict(self).items() if rows), 0.0)


class PassBench:
    """One pass of every kind of one UNet, a row each."""

    def __init__(self, backbone: Backbone, side: int, guidance_side: int) -> None:
        self.unet = unet = backbone.network
        self.denoiser = Denoiser(backbone, backbone.process(50), Meter({}))
        layers = find_sites(unet, side)
        self.read = sites_at(layers, guidance_side)
        limit = EditConfig.self_replace_max_positions
        self.injected = [layer for layer in layers if layer.kind == "cross" or layer.positions <= limit]
        shape = (1, unet.config.in_channels, side, side)
        self.latent = torch.randn(shape, device=unet.device)
        self.prompt = Conditioning(torch.randn(1, 77, unet.config.cross_attention_dim, device=unet.device))

    def measure(self, by: Callable[[Callable[[], Any]], tuple[float, Any]]) -> dict[str, float]:
        """Measure each kind of `Passes` with ``by`` (run -> figure and result), and those of the released schedule,
        whose names begin with "plain"."""
        found: dict[str, float] = {}

        def take(kind: str, run: Callable[[], Any]) -> Any:
            found[kind], result = by(run)
            return result

        with frozen(self.unet):
            take("forward", self._forward)
            take("source", self._source)
            take("backward", take("truncated", self._truncated).backward)
            take("embedding", take("graded", self._embedded).backward)
            with plain(self.unet):
                take("plain forward", self._forward)
                take("plain backward", take("plain graded", self._guided).backward)
                take("plain embedding", self._embedded().backward)
        return found

    def _forward(self) -> Tensor:
        with torch.no_grad():
            return self.denoiser.predict(self.latent, 501, self.prompt)

    def _source(self) -> None:
        with torch.no_grad(), capturing(self.unet, self.injected):
            self.denoiser.attend(self.latent, 501, self.prompt, self.injected[-1])

    def _truncated(self) -> Tensor:
        variable = self.latent.clone().requires_grad_(True)
        with torch.enable_grad(), capturing(self.unet, self.read) as maps:
            self.denoiser.attend(variable, 501, self.prompt, self.read[-1])
            return torch.stack([m.square().sum() for m in maps.values()]).sum()

    def _guided(self) -> Tensor:
        """The released program's pass of guidance: whole; the sum of its maps' squares."""
        variable = self.latent.clone().requires_grad_(True)
        with torch.enable_grad(), plain(self.unet) as maps:
            self.denoiser.predict(variable, 501, self.prompt)
            return torch.stack([maps.kept[layer.name].square().sum() for layer in self.read]).sum()

    def _embedded(self) -> Tensor:
        with torch.enable_grad():
            prompt = self.prompt.map(lambda tensor: tensor.clone().requires_grad_(True))
            return self.denoiser.predict(self.latent, 501, prompt).square().sum()


def pass_flops(bench: PassBench) -> dict[str, float]:
    """FLOPs of a row of each kind of pass."""
    return bench.measure(counted)


def pass_seconds(bench: PassBench, clock: Clock) -> dict[str, float]:
    """Seconds of a row of each kind of pass."""
    return bench.measure(lambda run: timed(clock, run))


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}


@contextmanager
def counting(unet: UNet2DConditionModel) -> Iterator[Counter[str]]:
    """Rows of every forward pass that ``unet`` begins inside, by their kind in `Passes`."""
    rows: Counter[str] = Counter()

    def cut(module: UNet2DConditionModel, sample: Tensor, *rest: Any) -> None:
        # A truncated pass calls the blocks directly, so the UNet's own hooks do not run.
        rows["truncated" if torch.is_grad_enabled() else "source"] += sample.shape[0]
        attend_until(module, sample, *rest)

    def whole(_: Any, args: tuple[Any, ...]) -> None:
        rows["graded" if torch.is_grad_enabled() else "forward"] += args[0].shape[0]

    hook = unet.register_forward_pre_hook(whole)
    try:
        with mock.patch.object(magedit.backbones.stable_diffusion.layout, "attend_until", cut):
            yield rows
    finally:
        hook.remove()
