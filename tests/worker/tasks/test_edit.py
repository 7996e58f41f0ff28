"""One claimed edit through the tiny real checkpoint, into storage."""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import pytest
from PIL import Image, ImageChops

from jobs.errors import ContentWithheld
from jobs.schema import JobRecord, State, StoredObject
from jobs.storage import attempt_prefix, sha256
from magedit.config import EditConfig, Region
from magedit.errors import EditHopeless, NothingFound, WordNotFound
from magedit.images.heatmap import PANEL_SIDE
from magedit.images.masks import outside_difference
from magedit.instructions.reading import read_by_rules
from magedit.masks.rle import decode
from magedit.masks.shapes import MaskShape
from magedit.measures.assessment import Thresholds
from magedit.measures.report import EditWarning, Progress
from tests.jobs.conftest import SIZE, Desk
from worker.models.served_model import Edited, Editor, ServedModel
from worker.problems import problem_of
from worker.progress import AttemptEnded, Reporter, Stop
from worker.tasks import edit

CONFIG = EditConfig(steps=2, max_iterations=1)


def claimed(desk: Desk, target: str = "red", **request: object) -> JobRecord:
    claim = desk.records.claim(desk.submit(target, **{"config": CONFIG, **request}).id, "w")
    assert claim is not None
    return claim


def picture(desk: Desk, stored: StoredObject) -> Image.Image:
    data = desk.store.get(stored.key)
    assert (len(data), sha256(data)) == (stored.size, stored.sha256)
    image = Image.open(BytesIO(data))
    assert image.size == (stored.width, stored.height)
    assert image.get_format_mimetype() == stored.content_type
    return image


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_the_result_is_stored_as_asked(desk: Desk, real_model: ServedModel, output_format: str) -> None:
    claim = claimed(desk, output_format=output_format)
    finished = edit.run(claim, real_model.editor, desk.store, Reporter())
    (stored,) = finished.results
    result = picture(desk, stored)
    assert stored.name == f"result-0.{output_format}"
    assert result.size == SIZE
    assert finished.measures.outside_difference == 0
    assert finished.measures.words == (("red",),)
    assert (finished.artifacts, finished.measures.unguided, finished.measures.trace) == ((), None, ())
    if output_format != "jpeg":
        corner = ImageChops.difference(result.convert("RGB"), Image.new("RGB", SIZE, "white")).crop((40, 36, *SIZE))
        assert corner.getbbox() is None
    assert desk.store.keys(attempt_prefix(claim)) == [stored.key]


def test_attention_compares_with_the_unguided_edit(desk: Desk, real_model: ServedModel) -> None:
    claim = claimed(desk, artifacts=("attention",))
    seen: list[Progress] = []

    class Listening(Reporter):
        def __call__(self, progress: Progress) -> None:
            super().__call__(progress)
            news = self.news()
            assert news is not None
            seen.append(news)

    finished = edit.run(claim, real_model.editor, desk.store, Listening())
    assert [stored.name for stored in finished.artifacts] == [
        "attention-before-0.png",
        "attention-after-0.png",
        "attention-steps-0.png",
        "overview.png",
        "trace.json",
    ]
    assert finished.measures.unguided is not None
    assert len(finished.measures.unguided) == len(finished.measures.after) == 1
    assert finished.measures.unguided != finished.measures.after
    for stored in finished.artifacts[:4]:
        picture(desk, stored)
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)


def test_other_artifacts_cost_no_second_edit(desk: Desk, real_model: ServedModel) -> None:
    plain = edit.run(claimed(desk), real_model.editor, desk.store, Reporter())
    finished = edit.run(
        claimed(desk, artifacts=("crop", "difference", "trace")), real_model.editor, desk.store, Reporter()
    )
    assert [stored.name for stored in finished.artifacts] == ["trace.json", "trace.png", "difference.png", "crop.png"]
    assert finished.measures.unguided is None
    assert finished.measures.unet_forward == plain.measures.unet_forward
    for stored in finished.artifacts[1:]:
        picture(desk, stored)
    assert finished.artifacts[0].content_type == "application/json"


def test_an_edit_that_cannot_be_done_says_why(desk: Desk, real_model: ServedModel) -> None:
    claim = claimed(desk)
    (region,) = claim.request.regions
    request = claim.request.model_copy(update={"regions": (replace(region, words=("blue",)),)})
    with pytest.raises(WordNotFound, match="blue"):
        edit.run(claim.model_copy(update={"request": request}), real_model.editor, desk.store, Reporter())


def test_cancel_stops_the_edit_at_the_next_step(desk: Desk, real_model: ServedModel) -> None:
    steps: list[Progress] = []

    class Canceling(Reporter):
        def __call__(self, progress: Progress) -> None:
            steps.append(progress)
            if len(steps) == 4:
                self.stop(Stop.CANCELED)
            super().__call__(progress)

    claim = claimed(desk)
    with pytest.raises(AttemptEnded):
        edit.run(claim, real_model.editor, desk.store, Canceling())
    assert len(steps) == 4
    assert desk.store.keys(attempt_prefix(claim)) == []
    # The model is as it was: the next edit works.
    assert edit.run(claim, real_model.editor, desk.store, Reporter()).results


@dataclass(frozen=True)
class Objecting:
    """A model whose safety checker objects to every result."""

    editor: Editor

    def edit(self, *inputs: Any, **options: Any) -> Edited:
        output = self.editor.edit(*inputs, **options)
        return replace(output, measures=replace(output.measures, nsfw_content_detected=True))  # type: ignore[type-var]


def test_a_result_that_the_safety_checker_objects_to_is_flagged(desk: Desk, real_model: ServedModel) -> None:
    finished = edit.run(claimed(desk), Objecting(real_model.editor), desk.store, Reporter())
    assert finished.measures.nsfw_content_detected is True
    assert finished.results


def test_result_that_the_safety_checker_objects_to_is_withheld(desk: Desk, real_model: ServedModel) -> None:
    claim = claimed(desk, artifacts=("trace", "crop"))
    with pytest.raises(ContentWithheld):
        edit.run(claim, Objecting(real_model.editor), desk.store, Reporter(), withhold=True)
    assert desk.store.keys(attempt_prefix(claim)) == []
    # Whatever nobody objects to is kept.
    assert edit.run(claim, real_model.editor, desk.store, Reporter(), withhold=True).results


def test_several_results_are_stored_with_a_contact_sheet(
    desk: Desk, real_model: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The bytes of an edit of its own, which a batch gives but for rounding.
    monkeypatch.setattr(real_model.editor, "batch_results", 1)
    claim = claimed(desk, config=replace(CONFIG, n=2, sweep=(0.0, 1.0)), artifacts=("difference", "crop"))
    finished = edit.run(claim, real_model.editor, desk.store, Reporter())
    assert [stored.name for stored in finished.results] == [f"result-{number}.png" for number in range(4)]
    assert [(own.seed, own.strength) for own in finished.measures.results] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert len({stored.sha256 for stored in finished.results}) == 4
    assert [stored.name for stored in finished.artifacts] == [
        "difference.png",
        "crop.png",
        *(f"result-{number}-difference.png" for number in (1, 2, 3)),
        "contact-sheet.png",
    ]
    sheet = picture(desk, finished.artifacts[-1])
    # Two rows of a source and two results.
    assert sheet.width > 3 * PANEL_SIDE
    assert sheet.height > 2 * PANEL_SIDE
    again = edit.run(claimed(desk, config=replace(CONFIG, seed=1)), real_model.editor, desk.store, Reporter())
    assert again.results[0].sha256 == finished.results[3].sha256


GUIDED = EditConfig(steps=6, max_iterations=1, guided_fraction=1.0)
"""Enough guided steps to be judged by; random weights see nothing anywhere."""


def test_an_edit_likely_to_fail_warns_while_it_runs(desk: Desk, real_model: ServedModel) -> None:
    report, told = Reporter(), []

    class Seen(Reporter):
        def warn(self, warning: EditWarning) -> None:
            super().warn(warning)
            told.append(self.last)

    report = Seen()
    # Whatever share the words have, it is less than all.
    finished = edit.run(
        claimed(desk, config=GUIDED, kind="addition"),
        real_model.editor,
        desk.store,
        report,
        thresholds=Thresholds(hopeless_ratio=1.0),
    )
    assert [each.code for each in report.new_warnings()] == ["likely_to_fail"]
    assert report.new_warnings() == ()
    assert finished.assessment[0].code == "likely_to_fail"
    assert told[0] is not None
    assert told[0].fraction < 1.0


def test_an_edit_that_is_likely_to_fail_ends_where_that_is_asked_for(desk: Desk, real_model: ServedModel) -> None:
    claim = claimed(desk, config=GUIDED, kind="addition", stop_if_hopeless=True)
    with pytest.raises(EditHopeless, match="guided steps 'red' has"):
        edit.run(claim, real_model.editor, desk.store, Reporter(), thresholds=Thresholds(hopeless_ratio=1.0))
    assert desk.store.keys(attempt_prefix(claim)) == []
    # One that is not, or where nothing is judged, is not ended.
    assert edit.run(claim, real_model.editor, desk.store, Reporter(), thresholds=Thresholds(hopeless_ratio=0.0)).results


def test_a_comparison_likely_to_fail_warns_and_stops_on_request(desk: Desk, real_model: ServedModel) -> None:
    compare = (GUIDED, replace(GUIDED, seed=1))
    told = edit.run(
        claimed(desk, config=GUIDED, compare=compare, kind="addition"),
        real_model.editor,
        desk.store,
        Reporter(),
        thresholds=Thresholds(hopeless_ratio=1.0),
    )
    assert told.assessment[0].code == "likely_to_fail"
    assert len(told.results) == 2
    claim = claimed(desk, config=GUIDED, compare=compare, kind="addition", stop_if_hopeless=True)
    with pytest.raises(EditHopeless, match="guided steps 'red' has"):
        edit.run(claim, real_model.editor, desk.store, Reporter(), thresholds=Thresholds(hopeless_ratio=1.0))


def test_missing_masks_are_located_and_reported(desk: Desk, real_model: ServedModel) -> None:
    instruction = read_by_rules("make the room red", None)
    find = (None, MaskShape.model_validate({"points": [[40, 30, 1]], "invert": True}))
    claim = claimed(desk, find=find, instruction=instruction, regions=(Region(words=("red",)),) * 2)
    finished = edit.run(claim, real_model.editor, desk.store, Reporter(), finder=real_model.finder)
    (found,) = finished.measures.found
    assert (found.region, found.found_by) == (1, "attention")
    assert list(finished.measures.stage_seconds)[:2] == ["read", "find"]
    assert finished.measures.words == (("red",),) * 2
    outside = ImageChops.lighter(Image.fromarray(decode(found.rle, "rle")).convert("L"), given_mask(desk, claim))
    result = picture(desk, finished.results[0]).convert("RGB")
    white = Image.new("RGB", SIZE, "white")
    assert outside_difference(white, result, outside, finished.measures.paste_margin_px) == 0
    state = desk.records.commit_success(claim, finished.measures, finished.results, (), None)
    assert state is State.SUCCEEDED
    kept = desk.get(claim).measures
    assert kept is not None
    assert kept.found == finished.measures.found


def given_mask(desk: Desk, claim: JobRecord) -> Image.Image:
    return Image.open(BytesIO(desk.store.get(claim.masks[0])))


def test_a_comparison_finds_its_masks_once(desk: Desk, real_model: ServedModel) -> None:
    find = (MaskShape.model_validate({"points": [[40, 30, 1]]}),)
    compare = tuple(replace(CONFIG, method=method) for method in ("p2p", "instruct-edit"))
    claim = claimed(desk, find=find, compare=compare)
    finished = edit.run(claim, real_model.editor, desk.store, Reporter(), finder=real_model.finder)
    assert len(finished.results) == 2
    assert [found.region for found in finished.measures.found] == [0]


def test_errors_of_missing_things_name_the_source_of_the_words(desk: Desk, real_model: ServedModel) -> None:
    instruction = read_by_rules("make the sofa red", None)
    shape = MaskShape(words="sofa")  # on a white picture, with weights that are drawn
    for told, field in ((instruction, "instruction"), (None, "mask_shapes.0.words")):
        claim = claimed(desk, find=(shape,), instruction=told)
        with pytest.raises(NothingFound) as caught:
            edit.run(claim, real_model.editor, desk.store, Reporter(), finder=real_model.finder)
        assert caught.value.field == field
        assert problem_of(caught.value).errors[0].field == field
