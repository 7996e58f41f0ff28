"""Warnings about a finished edit, derived from its measures. Free of torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from magedit.measures.report import EditMeasures, EditWarning, ResultMeasures, StepTrace
from magedit.methods.registry import METHODS
from magedit.prompts.kinds import EditKind

HOPELESS_AFTER: Final = 3
"""Guided steps before an edit's outcome is judged: the words' attention may rise late."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Thresholds of the warnings.

    Measured with the demo checkpoint's VAE inside the masks of 36 of its own edits: 29.3 dB in the median, 22.4 dB and
    more in 95 %; textures with the spectrum of photographs (noise of 1/f to 1/f^1.5) come back with 15 to 19.3 dB.
    Eight of these edits (`fast`) change their mask by 16 to 101 levels, one with the same prompt twice by 2.3. Guidance
    raises a ratio of the demo's guided edits by 3.4 to 8.6 % (`fast`), by 0.1 % at most with strength 0.02.
    """

    reconstruction_db: float = 20.0
    no_effect_levels: float = 4.0
    guidance_rise: float = 0.01
    hopeless_ratio: float = 0.01


def outlook(
    trace: Sequence[StepTrace],
    kind: EditKind,
    words: Sequence[Sequence[str]],
    thresholds: Thresholds | None = None,
) -> EditWarning | None:
    """The warning ``likely_to_fail`` if the steps so far call for it, else None.

    It applies when, after some guided steps, a region's words still have almost no attention inside the mask. Removals
    are exempt: their words name the filling.

    Args:
        trace: the result's steps so far.
        kind: of the edit.
        words: one sequence per region, as in the request.
        thresholds: when to warn.
    """
    least = (thresholds or Thresholds()).hopeless_ratio
    guided = [step for step in trace if step.iterations]
    if kind == "removal" or len(guided) < HOPELESS_AFTER or not least:
        return None
    for named, ratios in zip(words, guided[-1].after, strict=True):
        if named and ratios.token < least:
            told = ", ".join(repr(word) for word in named)
            return EditWarning(
                code="likely_to_fail",
                message=f"after {len(guided)} guided steps {told} has {ratios.token:.2%} of the attention inside the "
                "mask: the model does not see it there, and such edits usually fail. Use a larger mask, or words for "
                "a thing that fits this size and place",
                field="words",
            )
    return None


def assess(measures: EditMeasures, thresholds: Thresholds | None = None) -> tuple[EditWarning, ...]:
    """The warnings about an edit with these measures."""
    return tuple(_warnings(measures, thresholds or Thresholds()))


_NEW_NOISE: Final = "try another `seed`, which starts from fresh noise inside the mask; if that does not help,"
_LESS_OF_THE_SOURCE: Final = "lower `cross_replace` and `self_replace`, which preserve the source"
_CURES: Final = (
    ("strength", "seed", f"{_NEW_NOISE} raise `strength`, or {_LESS_OF_THE_SOURCE}"),
    ("cross_replace", "seed", f"{_NEW_NOISE} {_LESS_OF_THE_SOURCE}"),
    ("skip_fraction", "skip_fraction", "lower `skip_fraction`, so that the edit starts from more noise"),
    ("guidance_scale", "guidance_scale", "raise `guidance_scale`"),
)
"""Advice for an edit that changes nothing: the field to change, and how, for a method that reads the parameter; the
first that applies. Of 8 additions and replacements in the demo's rooms that changed nothing, another seed succeeds in
7, full strength in 6."""


def _warnings(measures: EditMeasures, thresholds: Thresholds) -> Iterator[EditWarning]:
    reconstruction = measures.reconstruction
    if reconstruction is not None and (db := min(reconstruction.vae, reconstruction.inversion)) < (
        wanted := thresholds.reconstruction_db
    ):
        part = "VAE" if reconstruction.vae < wanted else "inversion"
        cure = (
            "use a checkpoint trained on pictures like this one"
            if part == "VAE"
            else "use another inversion, such as `direct`"
        )
        yield EditWarning(
            code="poor_reconstruction",
            message="the model cannot reproduce this picture inside the mask, even unedited: "
            f"{db:.1f} dB through its {part}, less than {wanted:g}. The result is likely a smear: {cure}",
            field="model" if part == "VAE" else "inversion",
        )
    still = [
        number
        for number, each in enumerate(measures.results)
        if each.inside_difference is not None and each.inside_difference < thresholds.no_effect_levels
    ]
    if still:
        read = {name for number in still for name in METHODS[measures.results[number].method].parameters}
        cures = ((field, cure) for name, field, cure in _CURES if name in read)
        field, cure = next(cures, ("method", "use another `method`"))
        yield EditWarning(
            code="no_effect",
            message=f"{_which(still, measures)} hardly differs from the picture inside the mask (by less than "
            f"{thresholds.no_effect_levels:g} of 255 levels): {cure}",
            field=field,
        )
    idle = [
        number
        for number, each in enumerate(measures.results)
        if each.updates and number not in still and _rise(each) < thresholds.guidance_rise
    ]
    if idle:
        yield EditWarning(
            code="no_guidance_effect",
            message=f"guidance hardly raised the words' attention in {_which(idle, measures)} (by less than "
            f"{thresholds.guidance_rise:.0%}), which looks the same as without guidance: raise `strength` or "
            "`guidance_step_size`",
            field="strength",
        )
    flagged = [number for number, each in enumerate(measures.results) if each.nsfw_content_detected]
    if flagged:
        yield EditWarning(
            code="safety",
            message=f"the checkpoint's safety checker flagged {_which(flagged, measures)}: review it before you "
            f"share it",
        )


def _rise(result: ResultMeasures) -> float:
    """The largest relative rise of a ratio of any region by guidance."""
    return max(
        (
            (after - before) / before
            for old, new in zip(result.before, result.after, strict=True)
            for before, after in ((old.token, new.token), (old.spatial, new.spatial))
            if before > 0
        ),
        default=0.0,
    )


def _which(numbers: list[int], measures: EditMeasures) -> str:
    if len(measures.results) == 1:
        return "the result"
    return f"result {', '.join(str(number) for number in numbers)}"
