"""What is said about a finished edit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from magedit.assessment import Thresholds, assess
from magedit.report import EditMeasures, Ratios, Reconstruction, ResultMeasures


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
def test_a_picture_that_the_model_does_not_know_is_told(reconstruction: Reconstruction, field: str, told: str) -> None:
    measures = EditMeasures(reconstruction=reconstruction, results=(result(),))
    (warning,) = assess(measures, Thresholds(reconstruction_db=20))
    assert (warning.code, warning.field) == ("poor_reconstruction", field)
    assert told in warning.message


def test_an_edit_that_changed_nothing_and_one_that_is_objected_to_are_told() -> None:
    measures = EditMeasures(results=(result(inside=0.4), result(flagged=True), result()))
    still, flagged = assess(measures)
    assert (still.code, flagged.code, flagged.field) == ("no_effect", "safety", None)
    assert still.message.startswith("result 0 hardly differs from the picture inside the mask (by less than ")
    assert "objects to result 1: look at it" in flagged.message


def guided(rise: float) -> ResultMeasures:
    before, after = Ratios(token=0.04, spatial=0.2), Ratios(token=0.04, spatial=0.2 * (1 + rise))
    return replace(result(), updates=9, before=(before, before), after=(before, after))


def test_guidance_that_raised_no_ratio_is_told() -> None:
    unguided = replace(guided(0.0), updates=0)
    (warning,) = assess(EditMeasures(results=(guided(0.05), guided(0.002), unguided)))
    assert (warning.code, warning.field) == ("no_guidance_effect", "strength")
    assert "attention in result 1 (by less than 1%)" in warning.message
    # What did not change at all is told once.
    both = replace(guided(0.0), inside_difference=0.4)
    assert [each.code for each in assess(EditMeasures(results=(both,)))] == ["no_effect"]
    assert assess(EditMeasures(results=(guided(0.0),)), Thresholds(guidance_rise=0)) == ()


def test_nothing_is_said_of_a_good_edit_or_of_what_was_not_measured() -> None:
    good = EditMeasures(reconstruction=Reconstruction(vae=31.0, inversion=30.0), results=(result(),))
    unmeasured = EditMeasures(results=(result(inside=None),))
    assert assess(good) == assess(unmeasured) == ()
    everything = EditMeasures(reconstruction=Reconstruction(vae=1.0, inversion=1.0), results=(result(inside=0.0),))
    assert assess(everything, Thresholds(reconstruction_db=0, no_effect_levels=0)) == ()
