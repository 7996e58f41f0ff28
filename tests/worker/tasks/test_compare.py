"""Several methods in one request: one inversion where it can be shared, results numbered through, a table."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from jobs.schema import JobRecord
from magedit.config import EditConfig, MethodName
from magedit.measures.report import Progress
from tests.jobs.conftest import Desk
from worker.models.served_model import ServedModel
from worker.progress import Reporter
from worker.tasks import edit
from worker.tasks.inversion_cache import Inversions

CONFIG = EditConfig(steps=2, max_iterations=1)


def claimed(desk: Desk, **request: object) -> JobRecord:
    claim = desk.records.claim(desk.submit("red", **{"config": CONFIG, **request}).id, "w")
    assert claim is not None
    return claim


def by(*methods: MethodName, **parameters: int) -> tuple[EditConfig, ...]:
    return tuple(replace(CONFIG, method=method, **parameters) for method in methods)  # type: ignore[arg-type]


def test_results_are_numbered_through_and_one_inversion_serves_all(desk: Desk, real_model: ServedModel) -> None:
    claim = claimed(desk, compare=by("p2p", "blended-latent", "diffedit"), artifacts=("trace",))
    seen: list[Progress] = []

    class Seen(Reporter):
        def __call__(self, progress: Progress) -> None:
            super().__call__(progress)
            if news := self.news():
                seen.append(news)

    finished = edit.run(claim, real_model.editor, desk.store, Seen())
    assert [each.name for each in finished.results] == ["result-0.png", "result-1.png", "result-2.png"]
    assert [each.method for each in finished.measures.results] == ["p2p", "blended-latent", "diffedit"]
    # Two steps inverted once; two of p2p, two of blended-latent, one of diffedit, which leaves half out.
    assert finished.measures.unet_forward == 2 + 2 + 2 + 1
    fractions = [each.fraction for each in seen]
    assert fractions == sorted(fractions)

    stored = {each.name: each.key for each in finished.artifacts}
    assert {"contact-sheet.png", "comparison.json", "trace.json", "result-1-trace.json"} <= set(stored)
    rows = json.loads(desk.store.get(stored["comparison.json"]))
    assert [(row["result"], row["method"]) for row in rows] == list(enumerate(("p2p", "blended-latent", "diffedit")))
    assert [row["unet_forward"] for row in rows] == [4, 2, 1]
    assert all(row["outside_difference"] == 0 and row["changed"] > 0 for row in rows)
    assert len(rows[0]["after"]) == 1
    # The first method alone bears the inversion, and says so.
    assert [row["inversion_reused"] for row in rows] == [False, None, True]
    assert rows[0]["seconds"] > rows[0]["inversion_seconds"] > 0
    assert [row["inversion_seconds"] for row in rows[1:]] == [0, 0]


def test_attention_of_guided_and_unguided_methods(desk: Desk, real_model: ServedModel) -> None:
    claim = claimed(desk, compare=by("mag-edit", "p2p"), artifacts=("attention",))
    names = [each.name for each in edit.run(claim, real_model.editor, desk.store, Reporter()).artifacts]
    assert [name for name in names if "attention" in name] == [
        "attention-after-0.png",
        "attention-steps-0.png",
        "result-1-attention-before-0.png",
        "result-1-attention-steps-0.png",
    ]


def test_an_inversion_that_is_stored_is_found_by_the_first_method(desk: Desk, real_model: ServedModel) -> None:
    assert real_model.fingerprint is not None
    kept = Inversions(store=desk.store, info=real_model.info, fingerprint=real_model.fingerprint)
    passes, reused = [], []
    for _ in range(2):
        claim = claimed(desk, compare=by("p2p", "diffedit"))
        finished = edit.run(claim, real_model.editor, desk.store, Reporter(), kept)
        stored = {each.name: each.key for each in finished.artifacts}
        rows = json.loads(desk.store.get(stored["comparison.json"]))
        passes.append(finished.measures.unet_forward)
        reused.append([row["inversion_reused"] for row in rows])
    assert passes == [2 + 2 + 1, 2 + 1]
    assert reused == [[False, True], [True, True]]


def test_each_method_may_give_several_results(desk: Desk, real_model: ServedModel) -> None:
    claim = claimed(desk, compare=by("diffedit", "blended-latent", n=2))
    finished = edit.run(claim, real_model.editor, desk.store, Reporter())
    assert [(each.method, each.seed) for each in finished.measures.results] == [
        ("diffedit", 0),
        ("diffedit", 1),
        ("blended-latent", 0),
        ("blended-latent", 1),
    ]
    assert claim.request.results == len(finished.results) == 4


@pytest.mark.parametrize("number", [0, 1])
def test_a_single_result_belongs_to_its_method(desk: Desk, real_model: ServedModel, number: int) -> None:
    alone = claimed(desk, config=by("p2p", "diffedit")[number])
    both = claimed(desk, compare=by("p2p", "diffedit"))
    one, several = (edit.run(claim, real_model.editor, desk.store, Reporter()) for claim in (alone, both))
    assert several.results[number].sha256 == one.results[0].sha256
