"""Prompt-to-Prompt on a real image (Hertz et al., arXiv 2208.01626), with the masked blend of MAG-Edit's last steps."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial

import torch
from torch import Tensor

from magedit.backbones.base import Kept, ModuleEdit, reading, with_values
from magedit.guidance.descent import Descent, Guided, descend
from magedit.inversion.registry import INVERSIONS
from magedit.measures.report import Stage
from magedit.methods.base import EditedLatent, EditTask
from magedit.methods.local_blend import LocalBlend
from magedit.methods.sampling import first_latent, follow, guided_pass, halves, network_input
from magedit.methods.trace import Watch

Guidance = Callable[[float, Tensor, int], Descent]
"""(timestep, latent, first stride) -> the latent's guidance."""


def p2p(tasks: Sequence[EditTask]) -> tuple[EditedLatent, ...]:
    """Prompt-to-Prompt (section 4) without guidance."""
    return denoise(tasks, [None] * len(tasks))


def denoise(tasks: Sequence[EditTask], guidance: Sequence[Guidance | None]) -> tuple[EditedLatent, ...]:
    """Sample the edit along the source: each step passes the source once, injects of it, guides, steps, blends.

    All results advance together, step by step, so that one pass of the source serves them all; those with equal
    injections share their passes, at most ``batch_results`` of the denoiser in one. The ``guided_steps`` latents of a
    result from ``guided_from_step`` on are guided by its entry of ``guidance`` before their sampling pass, under the
    same injection.
    """
    first, denoiser = tasks[0], tasks[0].denoiser
    local = first.config.local_blend is not None
    read = tuple(site.name for site in first.guidance_sites) if local else ()
    start = first.config.skipped_steps
    # The source that the inversion has sampled may differ from its trajectory.
    source = first.inverted.source[start] if first.inverted.source and start else first.inverted.latents[start]
    edits = [_Edit(task, each) for task, each in zip(tasks, guidance, strict=True)]
    with denoiser.meter.stage(Stage.EDIT, (first.config.steps - start) * len(tasks)):
        for i, t in enumerate(denoiser.process.timesteps[start:], start):
            kept, source_next, predicted = _pass_source(first, i, t, source, read)
            noises: dict[_Edit, tuple[Tensor, Tensor]] = {}
            for alike in _alike(edits, i, denoiser.batch_results):
                noises.update(zip(alike, _pass(alike, i, t, kept), strict=True))
            # Always in the results' order: it is that of reported steps and of draws from a common generator.
            for edit in edits:
                edit.step(i, t, *noises[edit], source_next, predicted)
            source = source_next
    return tuple(edit.watch.edited(edit.latent, source) for edit in edits)


class _Edit:
    """One result while it is sampled."""

    def __init__(self, task: EditTask, guidance: Guidance | None) -> None:
        self.task, self.guidance, self.watch = task, guidance, Watch(task)
        self.stride = 1
        start = task.config.skipped_steps
        self.latent = first_latent(task, start, task.denoiser.process.timesteps[start])
        self.local = None
        if task.config.local_blend is not None:
            self.local = LocalBlend(*task.blend_tokens, task.config.local_blend, task.config.steps)

    def reads(self, i: int) -> tuple[str, ...]:
        """The layers whose maps are kept in the sampling pass of step i."""
        return tuple(site.name for site in self.task.guidance_sites) if self.local else self.watch.reads(i)

    def descent(self, i: int, t: float) -> Descent | None:
        """The guidance of the latent at step i, if there is any."""
        config = self.task.config
        if self.guidance is None or not 0 <= i - config.skipped_steps - config.guided_from_step < config.guided_steps:
            return None
        return self.guidance(t, self.latent, self.stride)

    def take(self, guided: Guided) -> None:
        """Continue from the guided latent."""
        self.latent, self.stride = guided.latent, guided.stride

    def look(
        self, i: int, t: float, kept: Mapping[str, Tensor], own: Mapping[str, Tensor], guided: Guided | None
    ) -> None:
        """Record the maps of step i: ``kept`` of the source, ``own`` of this result's sampling pass."""
        self.watch.record(i, t, own, guided)
        if self.local is not None:
            names = self.reads(i)
            self.local.add({name: kept[name] for name in names}, {name: own[name] for name in names})

    def step(
        self,
        i: int,
        t: float,
        unconditional: Tensor,
        conditional: Tensor,
        source_next: Tensor,
        predicted: Tensor | None,
    ) -> None:
        """Step i along the prediction's halves; ``source_next`` is the source's next latent, ``predicted`` the source's
        prediction, where the edit follows the difference to it."""
        task = self.task
        latent = follow(task, i, t, self.latent, unconditional, conditional, predicted)
        if self.local is not None:
            latent = self.local.blend(i, latent, source_next)
        if i >= task.config.blend_from:
            latent = task.blend_mask * latent + (1 - task.blend_mask) * source_next
        self.latent = task.stepped(i, t, latent)


def _alike(edits: Sequence[_Edit], i: int, most: int) -> Iterator[Sequence[_Edit]]:
    """Groups of ``edits`` with equal injections at step i, at most ``most`` in each."""
    groups: dict[Hashable, list[_Edit]] = {}
    for edit in edits:
        groups.setdefault(edit.task.injection.key(i), []).append(edit)
    for alike in groups.values():
        for start in range(0, len(alike), most):
            yield alike[start : start + most]


def _pass(edits: Sequence[_Edit], i: int, t: float, kept: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Guide all ``edits``, then predict each one's unconditional and conditional half at step i in one pass; all inject
    the same of ``kept``, which the source's pass kept."""
    task = edits[0].task
    injected = with_values(task.injection.edits(i, kept, edits[0].reads(i)), task.sites, task.values[i])
    guided = _guide(edits, i, t, injected)
    latents = torch.cat([edit.latent for edit in edits])
    with task.denoiser.editing(injected, len(edits)) as rows:
        unconditional, conditional = halves(task, i, t, latents, task.target, task.negative)
    for edit, own in zip(edits, rows, strict=True):
        edit.look(i, t, kept, own, guided.get(edit))
    return list(zip(unconditional[:, None], conditional[:, None], strict=True))


def _guide(edits: Sequence[_Edit], i: int, t: float, injected: Mapping[str, ModuleEdit]) -> dict[_Edit, Guided]:
    """Guide, together, the latents of those results that are guided at step i."""
    task = edits[0].task
    begun = {edit: descent for edit in edits if (descent := edit.descent(i, t)) is not None}
    rows: tuple[Kept, ...] = ()
    prompts = task.target
    with ExitStack() as stack:

        def attend(latents: Tensor) -> tuple[Kept, ...]:
            nonlocal rows, prompts
            if len(latents) != len(rows):
                stack.close()
                rows = stack.enter_context(task.denoiser.editing(injected, len(latents)))
                prompts = task.target.expand(len(latents))
            task.denoiser.attend(*network_input(task, i, t, latents), prompts, task.guidance_sites[-1])
            return rows

        found = descend(list(begun.values()), attend, partial(task.denoiser.meter.passed, backward=1))
    guided = dict(zip(begun, found, strict=True))
    for edit, each in guided.items():
        edit.take(each)
    return guided


def _pass_source(
    task: EditTask, i: int, t: float, source: Tensor, read: tuple[str, ...]
) -> tuple[Mapping[str, Tensor], Tensor, Tensor | None]:
    """Run the source branch at step i.

    Returns the tensors that the injection needs together with the maps of the layers in ``read``, the source's next
    latent (1, C, h, w), and, for a virtual inversion, its prediction without guidance.
    """
    captures = {**reading(read), **task.injection.captures(i)}
    reach = [*task.injection.sources(i)[-1:], *(task.guidance_sites[-1:] if read else ())]
    values = task.inverted.values[i] if task.inverted.values else None
    with task.denoiser.editing(with_values(captures, task.sites, values)) as (kept,):
        if INVERSIONS[task.config.inversion].is_virtual:
            return kept, task.inverted.source[i + 1], task.denoiser.predict(source, t, task.source)
        if not task.inverted.source:
            prediction = guided_pass(task, i, t, source, task.source)
            return kept, task.denoiser.process.step(prediction, t, source), None
        if reach:
            last = max(reach, key=task.injection.sites.index)
            task.denoiser.attend(*network_input(task, i, t, source), task.source, last)
    return kept, task.inverted.source[i + 1], None
