"""StyleDiffusion: prompt-embedding inversion (Li et al., arXiv 2303.15649, section 3.2 and algorithm 1)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from magedit.backbones.base import AttentionSite, ModuleEdit, classifier_free_guidance, reading, sites_at, with_values
from magedit.inversion.base import InversionTask, Inverted
from magedit.inversion.ddim.loop import trajectory
from magedit.inversion.null_text.loop import LEARNING_RATE_DECAY, TOLERANCE_GROWTH
from magedit.measures.report import Stage

LEARNING_RATE = 1e-2
"""Adam's learning rate at the first step (published program: 1e-2)."""

TOLERANCE = 1e-5
"""Loss below which the first step's updates stop (published program: 1e-5)."""

PATCHES = 4
"""Side of the grid of patches that the picture's features are the means of."""

WIDTH = 64
"""Hidden width of the network."""

REGULARIZED = 4
"""The regularised maps are at 1/4 of the latent's resolution, 16 of 64 (paper: 16x16)."""


class ValueMapper(nn.Module):
    """M_t: features of the picture -> value embedding (1, tokens, width), as a change of the prompt's own embedding.

    The paper's features are a CLIP image encoder's, which checkpoints of Stable Diffusion do not hold; these are means
    over patches of the picture's latent. The last layer begins at 0, so that the first value embedding is the prompt's.
    """

    def __init__(self, latent: Tensor, embedding: Tensor) -> None:
        super().__init__()
        self.embedding = embedding
        self.features = F.adaptive_avg_pool2d(latent, PATCHES).flatten()
        self.body = nn.Sequential(
            nn.Linear(self.features.numel(), WIDTH), nn.GELU(), nn.Linear(WIDTH, embedding.numel())
        ).to(latent.device)
        generator = torch.Generator().manual_seed(0)
        for weight in self.body[0].parameters():
            drawn = torch.rand(weight.shape, generator=generator) * 2 - 1
            weight.data = (drawn / self.features.numel() ** 0.5).to(latent.device)
        for weight in self.body[2].parameters():
            weight.data.zero_()

    def forward(self) -> Tensor:
        """The value embedding."""
        change: Tensor = self.body(self.features).reshape(self.embedding.shape)
        return self.embedding + change


def style(task: InversionTask) -> Inverted:
    """Train the network at each step until guided sampling follows the trajectory; keys keep the prompt's embedding.

    Per step Adam, fresh, on the latent's error plus that of the cross-attention maps against the inversion's own.
    """
    latents = trajectory(task)
    sites = task.denoiser.backbone.sites
    mapper = ValueMapper(task.latent, task.source.hidden_states)
    current, values = latents[0], []
    with task.denoiser.meter.stage(Stage.OPTIMIZE, task.config.steps):
        for i in range(task.config.steps):
            current = _train(task, i, current, latents[i + 1], mapper, sites)
            values.append(mapper().detach())
            task.denoiser.meter.stepped()
    return Inverted(latents, (task.empty,) * task.config.steps, exact=False, values=tuple(values))


def _train(
    task: InversionTask,
    step: int,
    current: Tensor,
    following: Tensor,
    mapper: ValueMapper,
    sites: tuple[AttentionSite, ...],
) -> Tensor:
    """One step: at most `EditConfig.style_updates` updates; the source latent sampled with what was learned."""
    denoiser = task.denoiser
    t = denoiser.process.timesteps[step]
    held = _regularized(sites, task.latent.shape[-1])
    with denoiser.editing(reading(site.name for site in held)) as (wanted,):
        denoiser.attend(following, t, task.source, held[-1])
    with denoiser.backbone.one_prefix():
        return _optimise(task, step, current, following, mapper, sites, wanted)


def _optimise(
    task: InversionTask,
    step: int,
    current: Tensor,
    following: Tensor,
    mapper: ValueMapper,
    sites: tuple[AttentionSite, ...],
    wanted: Mapping[str, Tensor],
) -> Tensor:
    """The updates of `_train`, towards the maps ``wanted``."""
    config, denoiser, process = task.config, task.denoiser, task.denoiser.process
    t = process.timesteps[step]
    unconditional = denoiser.predict(current, t, task.empty)
    optimizer = torch.optim.Adam(mapper.parameters(), lr=LEARNING_RATE * max(0.0, 1 - LEARNING_RATE_DECAY * step))

    def sample(edits: Mapping[str, ModuleEdit]) -> tuple[Tensor, dict[str, Tensor]]:
        with denoiser.editing(with_values(edits, sites, mapper())) as (maps,):
            prediction = classifier_free_guidance(
                unconditional, denoiser.predict(current, t, task.source), config.guidance_scale
            )
        return process.step(prediction, t, current), maps

    for _ in range(config.style_updates(step)):
        with torch.enable_grad():
            sampled, maps = sample(reading(wanted))
            loss = F.mse_loss(sampled, following) + sum(F.mse_loss(maps[name], wanted[name]) for name in maps)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        denoiser.meter.passed(backward=1)
        if float(loss.detach()) < TOLERANCE + TOLERANCE_GROWTH * step:
            break
    return sample({})[0].detach()


def _regularized(sites: tuple[AttentionSite, ...], latent_side: int) -> tuple[AttentionSite, ...]:
    """The sites that guide at a quarter of the latent's resolution, or at the lowest that a small model has."""
    lowest = min(site.side for site in sites if site.guides)
    return sites_at(sites, max(latent_side // REGULARIZED, lowest))
