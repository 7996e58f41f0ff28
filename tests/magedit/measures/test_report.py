"""Measures survive JSON, as job records keep them."""

from __future__ import annotations

from pydantic import TypeAdapter

from magedit.measures.report import EditMeasures, Progress, Ratios, Stage, StepTrace


def test_measures_and_progress_survive_json() -> None:
    ratio = Ratios(token=0.25, spatial=0.5)
    trace = StepTrace(step=0, timestep=981, iterations=1, losses=(0.5,), before=(ratio,), after=(ratio,))
    measures = EditMeasures(
        before=(ratio,),
        after=(ratio,),
        words=(("red",),),
        crop=(0, 1, 2, 3),
        trace=(trace,),
        stage_seconds={"edit": 1.5},
    )
    adapter = TypeAdapter(EditMeasures)
    assert adapter.validate_json(adapter.dump_json(measures)) == measures
    progress = Progress(stage=Stage.EDIT, step=1, steps=50, fraction=0.1)
    assert TypeAdapter(Progress).validate_json(TypeAdapter(Progress).dump_json(progress)) == progress
