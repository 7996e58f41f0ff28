"""A worker process whose "model" paints masks: it starts in a blink and does what the target prompt says.

    python -m tests.worker.models.painter GATES

`paint` paints and is done; `hold` goes on reporting steps while the folder GATES has a file `hold`; `hang` stops
reporting while it has a file `hang`; `die` kills its process; `fail` and `break` raise, and with a file `broken` the
model works no more, with a file `stuck` it does not answer. With a file `no-memory` none of several models can be
loaded. With a file `crash` looking for work fails. A file `die-at-claim`, `die-at-commit` or `die-after-commit` kills
the process that finds it, once, at that point.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from jobs.models import ModelInfo, tokenizer_sha256
from jobs.observability.logs import configure_logging
from jobs.queue import JobQueue
from jobs.records.store import Records
from jobs.schema import JobRecord, Priority, State
from jobs.settings import Settings
from magedit.config import EditConfig, Region
from magedit.errors import EditDiverged
from magedit.measures.meter import OnProgress
from magedit.measures.report import EditMeasures, OnPreview, OnTrace, Preview, Progress, Ratios, Stage, StepTrace
from worker.__main__ import serve
from worker.models.served_model import ServedModel
from worker.models.shelf import Shelf

COLOUR = (200, 30, 60)
STEP_S = 0.01


@dataclass(frozen=True)
class Painted:
    """A painted picture."""

    images: Sequence[Image.Image]
    measures: EditMeasures
    inversion: Any = None
    attention: Sequence[Any] = ()
    attention_steps: Sequence[Sequence[Any]] = ()

    def only(self, number: int) -> Painted:
        return replace(self, images=[self.images[number]])


class Painter:
    """Paints the first mask in `COLOUR`."""

    def __init__(self, gates: Path) -> None:
        self.gates = gates

    def edit(
        self,
        image: Image.Image,
        masks: Sequence[Image.Image],
        source_prompt: str,  # noqa: ARG002 (the pipeline's signature)
        target_prompt: str,
        regions: Sequence[Region],
        config: EditConfig,
        *,
        inversion: Any = None,  # noqa: ARG002
        on_progress: OnProgress | None = None,
        on_inverted: Any = None,  # noqa: ARG002
        on_preview: OnPreview | None = None,
        on_trace: OnTrace | None = None,
    ) -> Painted:
        def step(number: int) -> None:
            if on_progress is not None:
                fraction = number / config.steps
                on_progress(Progress(stage=Stage.EDIT, step=number, steps=config.steps, fraction=fraction))

        for number in range(config.steps):
            step(number)
            if on_preview is not None:
                on_preview(Preview(picture=image, result=0, step=number + 1, steps=config.steps))
            time.sleep(STEP_S)
        if target_prompt == "doubt" and on_trace is not None:
            for number in range(config.steps):
                ratios = (Ratios(token=0.0005, spatial=0.02),)
                losses = (1.0,)
                on_trace(
                    0, StepTrace(step=number, timestep=1, iterations=1, losses=losses, before=ratios, after=ratios)
                )
            while (self.gates / "doubt").exists():
                step(config.steps)
                time.sleep(STEP_S)
        while target_prompt == "hold" and (self.gates / "hold").exists():
            step(config.steps)
            time.sleep(STEP_S)
        while target_prompt == "hang" and (self.gates / "hang").exists():
            time.sleep(STEP_S)
        if target_prompt == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if target_prompt == "fail":
            raise EditDiverged("the latent became NaN at step 3: use a smaller scale")
        if target_prompt == "break":
            raise RuntimeError("secret detail of the inside")
        result = image.copy()
        result.paste(COLOUR, (0, 0), masks[0])
        return Painted([result], EditMeasures(words=tuple(region.words for region in regions)))


def painting_model(gates: Path, name: str = "demo") -> ServedModel:
    """What `worker.models.served_model.load` gives for a checkpoint."""
    info = ModelInfo(
        name=name,
        checkpoint="painter",
        image_size=64,
        max_prompt_tokens=77,
        tokenizer_sha256=tokenizer_sha256("{}"),
        methods=("mag-edit",),
        inversions=("direct",),
        device="cpu",
        dtype="float32",
    )

    def probe() -> None:
        if (gates / "broken").exists():
            raise RuntimeError("the device is lost")
        while (gates / "stuck").exists():
            time.sleep(STEP_S)

    return ServedModel(editor=Painter(gates), info=info, tokenizer_json="{}", probe=probe)


def counted(gates: Path, model: ServedModel) -> ServedModel:
    """The model, its loading noted in the gates' folder."""
    with (gates / "loads").open("a") as loads:
        loads.write(f"{model.info.name}\n")
    if (gates / "no-memory").exists():
        raise RuntimeError("CUDA out of memory")
    return model


def die_once(gate: Path) -> None:
    """Kill this process if ``gate`` is there and it is the one to take it away."""
    with suppress(FileNotFoundError):
        gate.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def arrange_deaths(gates: Path) -> None:
    """Let `Records` of this process end it where the gates say."""
    claim, commit = Records.claim, Records.commit_success

    def dying_claim(self: Records, job_id: str, worker: str) -> JobRecord | None:
        die_once(gates / "die-at-claim")
        return claim(self, job_id, worker)

    def dying_commit(self: Records, *args: Any) -> State | None:
        die_once(gates / "die-at-commit")
        state = commit(self, *args)
        die_once(gates / "die-after-commit")
        return state

    take = JobQueue.dequeue

    def crashing_take(self: JobQueue, model: str) -> tuple[str, Priority] | None:
        if (gates / "crash").exists():
            raise RuntimeError("a bug in the loop")
        return take(self, model)

    setattr(JobQueue, "dequeue", crashing_take)  # noqa: B010 (a method)
    for name, dying in (("claim", dying_claim), ("commit_success", dying_commit)):
        setattr(Records, name, dying)


if __name__ == "__main__":
    arrange_deaths(Path(sys.argv[1]))
    configure_logging()
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    if not names:
        sys.exit(serve(painting_model(folder), Settings()))
    models = {name: replace(painting_model(folder, name), size_bytes=10) for name in names}
    shelf = Shelf({name: partial(counted, folder, model) for name, model in models.items()}, budget_bytes=15)
    for each in reversed(names):
        shelf.get(each)
    sys.exit(serve(shelf, Settings()))
