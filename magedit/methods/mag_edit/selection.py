"""Guidance by need: the likeliest of the results with and without it, judged by the model itself.

A diffusion model is a classifier (Li et al., arXiv 2303.16203): of two prompts, the likelier one is that under which it
predicts a picture's noise better. The mask limits the comparison to what is edited.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from magedit.backbones.base import Conditioning
from magedit.methods.base import EditedLatent, EditTask, Method, Selected
from magedit.methods.mag_edit import LEVELS, NOISES

RECOGNISED = 3.0
"""How many times the unedited picture's ratio counts as recognised, where the target is likelier there already."""


def errors(task: EditTask, latent: Tensor) -> tuple[float, float]:
    """Mean squared error of the noise predicted for a clean ``latent`` (1, C, h, w) inside the mask, under the source
    and under the target prompt (equation 5).

    The noise is the same for every latent, so that the errors of two compare.
    """
    process, mask = task.denoiser.process, task.mask
    prompts = Conditioning.cat([task.source.guided(1.0), task.target.guided(1.0)])
    generator = torch.Generator("cpu").manual_seed(0)
    total = torch.zeros(2, device=latent.device)
    for level in LEVELS:
        t = process.timesteps[int(level * (len(process.timesteps) - 1))]
        to_noise = process.signal(t) / process.noise(t)
        for _ in range(NOISES):
            fresh = randn_tensor(latent.shape, generator=generator, device=latent.device, dtype=latent.dtype)
            noisy = process.add_noise(latent, t, fresh).expand(2, *latent.shape[1:])
            clean = process.predicted_clean(task.denoiser.predict(noisy, t, prompts), t, noisy)
            squared = (to_noise * (clean - latent)).float().square().mean(1)
            total += (squared * mask).sum((1, 2)) / mask.sum()
    source, target = (total / (len(LEVELS) * NOISES)).tolist()
    return source, target


def is_recognised(ratio: float, unedited: float) -> bool:
    """Whether the target prompt is recognised in a result of this `Selected.ratio`, by that of the unedited picture."""
    return ratio > max(0.0, RECOGNISED * unedited)


def likeliest(results: Sequence[EditedLatent], unedited: float) -> EditedLatent:
    """Of the results in which the target is recognised the one that fits it best; else the one of the largest ratio."""
    compared = [(each, each.selected) for each in results if each.selected is not None]
    recognised = [(each, chosen) for each, chosen in compared if is_recognised(chosen.ratio, unedited)]
    if recognised:
        return min(recognised, key=lambda both: both[1].target_error)[0]
    return max(compared, key=lambda both: both[1].ratio)[0]


def select(tasks: Sequence[EditTask], method: Method) -> tuple[EditedLatent, ...]:
    """Each task's result, or the `likeliest` of its candidates'.

    Candidates with guidance are sampled only where the target is not recognised without it.
    """
    drawn = {id(task.generator): task.generator.get_state() for task in tasks}

    def sampled(numbers: Sequence[int], candidate: int) -> list[EditedLatent]:
        chosen = [
            replace(tasks[number].candidates[candidate], on_step=task.on_step, on_prediction=task.on_prediction)
            if (task := tasks[number]).candidates
            else task
            for number in numbers
        ]
        # Each candidate draws what it would draw alone.
        for task in chosen:
            if (state := drawn.get(id(task.generator))) is not None:
                task.generator.set_state(state)
        results = method(chosen)
        return [replace(each, selected=_judged(task, each.latent)) for task, each in zip(chosen, results, strict=True)]

    unedited = _judged(tasks[0], tasks[0].inverted.latents[-1]).ratio
    results = sampled(range(len(tasks)), 0)
    needy = [
        number
        for number, each in enumerate(results)
        if tasks[number].candidates and each.selected and not is_recognised(each.selected.ratio, unedited)
    ]
    if needy and len(drawn) < len(tasks):
        # With one generator a result's draws depend on the results before it.
        needy = [number for number, task in enumerate(tasks) if task.candidates]
    if needy:
        for number, *guided in zip(needy, sampled(needy, 1), sampled(needy, 2), strict=True):
            results[number] = likeliest([results[number], *guided], unedited)
    return tuple(results)


def _judged(task: EditTask, latent: Tensor) -> Selected:
    return Selected(task.config.constraint if task.config.guided_steps else None, *errors(task, latent))
