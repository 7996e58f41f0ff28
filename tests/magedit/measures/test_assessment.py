"""What is said about a finished edit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from magedit.measures.assessment import HOPELESS_AFTER, Thresholds, assess, outlook
from magedit.measures.report import EditMeasures, Ratios, Reconstruction, ResultMeasures, StepTrace
from magedit.prompts.kinds import EditKind


def result(*, inside: float | None = 30.0, flagged: bool | None = None) -> ResultMeasures:
    return ResultMeasures(seed=0, strength=1.0, inside_difference=inside, nsfw_content_detected=flagged)


@pytest.mark.parametrize(
    ("reconstruction", "field", "told"),
    [
        (
            Reconstruction(vae=14.2, inversion=14.2),
            "model",
            "14.2 dB through its VAE, less than 20. The result",
        ),
        (
            Reconstruction(vae=31.0, inversion=12.5),
            "inversion",
            "12.5 dB through its inversion, less than 20. The",
        ),
    ],
)
def test_poor_reconstruction_is_warned_of(reconstruction: Reconstruction, field: str, told: str) -> None:
    measures = EditMeasures(reconstruction=reconstruction, results=(result(),))
    (warning,) = assess(measures, Thresholds(reconstruction_db=20))
    assert (warning.code, warning.field) == ("poor_reconstruction", field)
    assert told in warning.message


def test_an_edit_without_effect_and_a_flagged_one_are_warned_of() -> None:
    measures = EditMeasures(results=(result(inside=0.4), result(flagged=True), result()))
    still, flagged = assess(measures)
    assert (still.code, flagged.code, flagged.field) == ("no_effect", "safety", None)
    assert still.message.startswith("result 0 hardly differs from the picture inside the mask (by less than ")
    assert (still.field, "try another `seed`" in still.message) == ("seed", True)
    assert "flagged result 1: review it" in flagged.message


def test_advice_names_a_parameter_of_the_method() -> None:
    (warning,) = assess(EditMeasures(results=(replace(result(inside=0.4), method="instruct-edit"),)))
    assert (warning.code, warning.field) == ("no_effect", "skip_fraction")
    assert "lower `skip_fraction`" in warning.message
    assert "cross_replace" not in warning.message


def guided(rise: float) -> ResultMeasures:
    before, after = Ratios(token=0.04, spatial=0.2), Ratios(token=0.04, spatial=0.2 * (1 + rise))
    return replace(result(), updates=9, before=(before, before), after=(before, after))


def test_guidance_without_effect_is_warned_of() -> None:
    unguided = replace(guided(0.0), updates=0)
    (warning,) = assess(EditMeasures(results=(guided(0.05), guided(0.002), unguided)))
    assert (warning.code, warning.field) == ("no_guidance_effect", "strength")
    assert "attention in result 1 (by less than 1%)" in warning.message
    # What did not change at all is told once.
    both = replace(guided(0.0), inside_difference=0.4)
    assert [each.code for each in assess(EditMeasures(results=(both,)))] == ["no_effect"]
    assert assess(EditMeasures(results=(guided(0.0),)), Thresholds(guidance_rise=0)) == ()


def test_good_or_unmeasured_edits_have_no_warnings() -> None:
    good = EditMeasures(reconstruction=Reconstruction(vae=31.0, inversion=30.0), results=(result(),))
    unmeasured = EditMeasures(results=(result(inside=None),))
    assert assess(good) == assess(unmeasured) == ()
    everything = EditMeasures(reconstruction=Reconstruction(vae=1.0, inversion=1.0), results=(result(inside=0.0),))
    assert assess(everything, Thresholds(reconstruction_db=0, no_effect_levels=0)) == ()


def steps(*tokens: float, iterations: int = 5) -> list[StepTrace]:
    """Guided steps of one region, whose words have these shares afterwards."""
    return [
        StepTrace(
            step=number,
            timestep=900 - number,
            iterations=iterations,
            losses=(1.0,),
            before=(Ratios(token=token, spatial=0.1),),
            after=(Ratios(token=token, spatial=0.1),),
        )
        for number, token in enumerate(tokens)
    ]


def test_words_without_attention_are_warned_about_after_a_few_guided_steps() -> None:
    low = Thresholds.hopeless_ratio / 2
    trace = steps(*(low,) * HOPELESS_AFTER)
    assert outlook(trace[:-1], "addition", [("lamp",)]) is None
    warning = outlook(trace, "addition", [("lamp",)])
    assert warning is not None
    assert (warning.code, warning.field) == ("likely_to_fail", "words")
    assert "after 3 guided steps 'lamp' has 0.50% of the attention" in warning.message


@pytest.mark.parametrize(
    ("tokens", "kind", "words", "thresholds"),
    [
        ((0.001, 0.001, 0.2), "addition", [("lamp",)], None),
        ((0.001, 0.001, 0.001), "removal", [("wall",)], None),
        ((0.001, 0.001, 0.001), "addition", [()], None),
        ((0.001, 0.001, 0.001), "addition", [("lamp",)], Thresholds(hopeless_ratio=0)),
    ],
)
def test_rising_words_removals_and_regions_without_words_do_not_warn(
    tokens: tuple[float, ...], kind: EditKind, words: list[tuple[str, ...]], thresholds: Thresholds | None
) -> None:
    assert outlook(steps(*tokens), kind, words, thresholds) is None


def test_steps_without_guidance_do_not_count() -> None:
    assert outlook(steps(*(0.001,) * 9, iterations=0), "addition", [("lamp",)]) is None
