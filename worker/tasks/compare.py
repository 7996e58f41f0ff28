"""One request by several methods, run in sequence with consecutively numbered results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from PIL import Image

from magedit.config import EditConfig, Region
from magedit.inversion.registry import inversion_settings
from magedit.measures.meter import expected_work
from magedit.measures.report import EditMeasures, OnTrace, Preview, StepTrace
from magedit.methods.registry import METHODS
from worker.models.served_model import Edited, Editor
from worker.progress import Reporter
from worker.tasks.inversion_cache import CachedInversion

Inputs = tuple[Image.Image, Sequence[Image.Image], str, str, Sequence[Region]]
"""Image, masks, source prompt, target prompt and regions."""


@dataclass(frozen=True)
class Several:
    """The edits of several methods combined: results in order, costs added up."""

    parts: tuple[Edited, ...]

    @property
    def images(self) -> Sequence[Image.Image]:
        """Every result."""
        return tuple(chain.from_iterable(part.images for part in self.parts))

    @property
    def measures(self) -> EditMeasures:
        """The first edit's measures, with the results and the costs of all."""
        every = [part.measures for part in self.parts]
        seconds: dict[str, float] = {}
        for each in every:
            for stage, more in each.stage_seconds.items():
                seconds[stage] = round(seconds.get(stage, 0.0) + more, 4)
        verdicts = [each.nsfw_content_detected for each in every if each.nsfw_content_detected is not None]
        return replace(
            every[0],
            unet_forward=sum(each.unet_forward for each in every),
            unet_truncated_forward=sum(each.unet_truncated_forward for each in every),
            unet_backward=sum(each.unet_backward for each in every),
            stage_seconds=seconds,
            outside_difference=max(each.outside_difference for each in every),
            nsfw_content_detected=any(verdicts) if verdicts else None,
            results=tuple(chain.from_iterable(each.results for each in every)),
        )

    @property
    def inversion(self) -> Any:
        """The first edit's."""
        return self.parts[0].inversion

    @property
    def attention(self) -> Sequence[Any]:
        """The first result's."""
        return self.parts[0].attention

    @property
    def attention_steps(self) -> Sequence[Sequence[Any]]:
        """The first result's."""
        return self.parts[0].attention_steps

    def only(self, number: int) -> Edited:
        """The output reduced to result ``number``."""
        for part in self.parts:
            if number < len(part.images):
                return part.only(number)
            number -= len(part.images)
        raise IndexError(number)


def edit_by(
    editor: Editor,
    inputs: Inputs,
    configs: Sequence[EditConfig],
    report: Reporter,
    cached_for: Callable[[EditConfig], CachedInversion | None],
    *,
    previews: bool = True,
    on_trace: OnTrace | None = None,
) -> Several:
    """Edit once per configuration, reusing stored inversions and those of earlier configurations.

    Args:
        editor: the model.
        inputs: the resolved edit, as ``editor`` takes it.
        configs: one per method.
        report: receives the progress; each edit counts by its share of the expected work.
        cached_for: the stored inversion of a configuration, if there is one.
        previews: whether ``report`` receives previews, numbered like the results.
        on_trace: receives the steps, their results numbered through.

    Raises:
        MAGEditError, AttemptEnded: as ``editor`` and ``report`` do.
    """
    made: dict[tuple[Any, ...], Any] = {}
    parts: list[Edited] = []
    work = [sum(expected_work(config, inverted=False).values()) for config in configs]
    for number, config in enumerate(configs):
        report.share(sum(work[:number]) / sum(work), work[number] / sum(work))
        inverts = bool(METHODS[config.method].inversions)
        wanted = tuple(sorted(inversion_settings(config).items()))
        slot = cached_for(config) if inverts and wanted not in made else None
        found = (made.get(wanted) or (slot.find() if slot else None)) if inverts else None
        kept = slot.keep if slot else None

        before = sum(len(part.images) for part in parts)

        def show(preview: Preview, before: int = before) -> None:
            report.show(replace(preview, result=before + preview.result))

        def trace(result: int, step: StepTrace, before: int = before) -> None:
            if on_trace is not None:
                on_trace(before + result, step)

        edited = editor.edit(
            *inputs,
            config,
            inversion=found,
            on_progress=report,
            on_inverted=kept,
            on_preview=show if previews else None,
            on_trace=trace if on_trace is not None else None,
        )
        if inverts:
            made[wanted] = edited.inversion
        parts.append(edited)
    return Several(tuple(parts))
