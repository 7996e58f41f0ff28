"""FlowEdit (Kulikov et al., arXiv 2412.08629, algorithm 1), restricted to the mask."""

from __future__ import annotations

from magedit.backbones.base import classifier_free_guidance, reading
from magedit.measures.report import Stage
from magedit.methods.base import EditedLatent, EditTask, in_turn
from magedit.methods.sampling import fresh_noise, halves
from magedit.methods.trace import Watch


@in_turn
def flow_edit(task: EditTask) -> EditedLatent:
    """Move the picture's latent along the target's velocity minus the source's, each at its own guidance scale.

    At each step the source is the picture under fresh noise, and the target that plus what the edit has changed so far.
    Outside M nothing changes.
    """
    config, denoiser, process = task.config, task.denoiser, task.denoiser.process
    clean, start, watch = task.inverted.latents[-1], config.skipped_steps, Watch(task)
    latent = clean
    with denoiser.meter.stage(Stage.EDIT, config.steps - start):
        for i, t in enumerate(process.timesteps[start:], start):
            source = process.add_noise(clean, t, fresh_noise(task))
            with denoiser.editing(reading(watch.reads(i))) as (own,):
                wanted = halves(task, i, t, latent + source - clean, task.target, task.negative)
            watch.record(i, t, own)
            present = halves(task, i, t, source, task.source, scale=config.source_guidance_scale)
            difference = classifier_free_guidance(*wanted, config.guidance_scale) - classifier_free_guidance(
                *present, config.source_guidance_scale
            )
            task.predicted(task.mask * difference, t, latent)
            latent = task.stepped(i, t, process.step(task.mask * difference, t, latent), source=clean)
    return watch.edited(latent, clean)
