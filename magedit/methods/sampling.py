"""One sampling step of an edit: classifier-free guidance, then a step of the process."""

from __future__ import annotations

from math import sqrt

from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from magedit.backbones.base import Conditioning, classifier_free_guidance
from magedit.inversion.proximal.loop import RECONSTRUCTION_BELOW, prox
from magedit.inversion.registry import INVERSIONS
from magedit.inversion.virtual.loop import consistent_step
from magedit.methods.base import EditTask


def guided_pass(task: EditTask, i: int, t: float, latent: Tensor, prompt: Conditioning) -> Tensor:
    """Prediction under classifier-free guidance."""
    return classifier_free_guidance(*halves(task, i, t, latent, prompt), task.config.guidance_scale)


def advance(task: EditTask, i: int, t: float, latent: Tensor) -> Tensor:
    """One step of the edit under the target prompt: a pass, then `follow`."""
    return follow(task, i, t, latent, *halves(task, i, t, latent, task.target, task.negative))


def follow(
    task: EditTask,
    i: int,
    t: float,
    latent: Tensor,
    unconditional: Tensor,
    conditional: Tensor,
    source: Tensor | None = None,
) -> Tensor:
    """One step of the edit along its prediction's halves, under guidance and the edit's own ``eta``.

    Along a virtual inversion it follows the difference of its prediction to the ``source`` prediction. With inversion
    `proximal` guidance is cut by `prox`; in the late steps the predicted clean picture is moved to the source by
    ``proximal_reconstruction`` where no guidance was left (arXiv 2306.05414, 3.3).
    """
    config, process = task.config, task.denoiser.process
    settled = None
    if config.inversion == "proximal":
        left, settled = prox(conditional - unconditional, config.proximal_norm, config.proximal_quantile)
        conditional = unconditional + left
    prediction = classifier_free_guidance(unconditional, conditional, config.guidance_scale)
    task.predicted(prediction, t, latent)
    if source is not None:
        return consistent_step(process, i, latent, prediction - source, task.inverted.latents)
    fresh = fresh_noise(task) if config.eta > 0 else None
    following = process.step(prediction, t, latent, eta=config.eta, fresh=fresh)
    if settled is not None and config.proximal_reconstruction > 0 and t < RECONSTRUCTION_BELOW:
        clean = process.predicted_clean(prediction, t, latent)
        pull = config.proximal_reconstruction * settled * (clean - task.inverted.latents[-1])
        following = following - process.signal(process.following(t)) * pull
    return following


def halves(
    task: EditTask,
    i: int,
    t: float,
    latents: Tensor,
    prompt: Conditioning,
    negative: Conditioning | None = None,
    *,
    scale: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Unconditional and conditional prediction, each (m, C, h, w), in one batch, the conditional half last; at scale 1
    twice the latter.

    ``latents`` (m, C, h, w) are of m results of one edit, of which ``task`` is any: they share the prompts. ``prompt``
    is the conditional one, ``negative`` stands in for the inversion's unconditional. ``scale`` is that of guidance,
    None: the edit's. A model that takes the scale as input has no unconditional half; both are its prediction.
    """
    results, scale = len(latents), task.config.guidance_scale if scale is None else scale
    latents, t = network_input(task, i, t, latents)
    prompt = prompt.guided(scale)
    if scale == 1 or prompt.is_guided:
        prediction = task.denoiser.predict(latents, t, prompt.expand(results), results=results)
        return prediction, prediction
    unconditional = task.inverted.unconditional[i] if negative is None else negative
    prompts = Conditioning.cat([unconditional, prompt]).repeat(results)
    both = task.denoiser.predict(latents.repeat(2, 1, 1, 1), t, prompts, results=results)
    return both[:results], both[results:]


def network_input(task: EditTask, i: int, t: float, latents: Tensor) -> tuple[Tensor, float]:
    """The network's input for ``latents`` (m, C, h, w) at step i: latents and timestep.

    Along an exact trajectory of Euler's method both are moved to where the inversion's step began, by the source's
    change (DirectEdit, arXiv 2605.02417): there the source's prediction is the one that inverted it, so that its step
    is that step's exact reverse, and an edit that changes nothing ends at the picture.
    """
    told, trajectory = task.denoiser.process.inversion_timestep(t), task.inverted.latents
    if told == t or not task.inverted.exact or len(trajectory) == 1:
        return latents, t
    return latents + (trajectory[i + 1] - trajectory[i]), told


def first_latent(task: EditTask, i: int, t: float) -> Tensor:
    """The first latent of an edit along the trajectory that begins at step i: the trajectory's own, or, if the result
    is ``renoised``, with its noise redrawn inside M by ``variation``.

    If M is ``filled``, the filling is under the trajectory's noise where that was drawn (inversion `virtual`), else
    under fresh noise: the noise of an inverted picture shows the picture.
    """
    latents, process, config = task.inverted.latents, task.denoiser.process, task.config
    latent, clean, signal, scale = latents[i], latents[-1], process.signal(t), process.noise(t)
    noise = (latent - signal * clean) / scale
    if task.filled is not None:
        latent = latent + signal * task.mask * (task.filled - clean)
    shows_source = task.filled is not None and not INVERSIONS[config.inversion].is_virtual
    if not (task.renoised or shows_source):
        return latent
    share = 1.0 if shows_source else config.variation
    return latent + scale * task.mask * (mixed(noise, fresh_noise(task), share) - noise)


def mixed(noise: Tensor, fresh: Tensor, share: float) -> Tensor:
    """sqrt(1 - share^2) noise + share fresh: of unit deviation where both are, ``share`` in 0..1."""
    return sqrt(1 - share**2) * noise + share * fresh


def fresh_noise(task: EditTask) -> Tensor:
    """Standard normal noise of the latent's shape from the edit's generator."""
    clean = task.inverted.latents[-1]
    noise: Tensor = randn_tensor(clean.shape, generator=task.generator, device=clean.device)
    return noise
