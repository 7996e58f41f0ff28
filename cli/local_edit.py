"""An edit in this process, with the service's validation and the worker's edit.

Loads torch: import it only to edit.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from diffusers.utils import logging as diffusers_logging
from pydantic import ValidationError
from rich.console import Console
from transformers.utils import logging as transformers_logging

from cli.display import progress_bar
from cli.errors import InvalidSetting, ModelUnavailable
from cli.preview import shower
from jobs import schema
from jobs.errors import ContentWithheld, JobError
from jobs.schema import EditRequest, JobOptions, JobRecord, State, check_options, new_id
from jobs.settings import Settings
from jobs.storage import ObjectStore, image_key, mask_key
from magedit.client import Edit, Problem, ServiceError
from magedit.config import MaskMode
from magedit.config.parameters import invalid_parameter
from magedit.demo import checkpoint_path
from magedit.edits.asked import read_asked
from magedit.edits.checkpoint import closed_vocabulary
from magedit.edits.resolve import resolve
from magedit.errors import CheckpointError, MAGEditError
from magedit.instructions.reading import read_by_rules
from magedit.masks.shapes import one_per_region, read_shapes
from magedit.measures.report import Preview, Progress
from magedit.prompts.alignment import from_tokenizers
from magedit.prompts.checks import check_vocabulary
from service.backend import language_model_of
from service.edits.finders import instructed_shapes
from service.edits.views import edit_view
from service.errors import RequestError
from service.images.inputs import read_inputs
from service.images.png import write_png
from service.problems.mapping import problem_of
from worker.models.served_model import ServedModel, load
from worker.problems import problem_of as failure_of
from worker.progress import Reporter
from worker.tasks import edit as work

OWNER = "local"


class LocalEditor:
    """A loaded checkpoint and the objects of its edits, all in memory. ``console`` shows what happens."""

    def __init__(self, settings: Settings, console: Console) -> None:
        """Load the checkpoint. Raises ModelUnavailable."""
        self._settings = settings.model_copy(update={"storage_url": "memory:"})
        self._console = console
        self._store = ObjectStore.from_settings(self._settings)
        self._keys: dict[str, str] = {}
        with console.status("loading the checkpoint"):
            self._served = load_checkpoint(self._settings)

    def edit(self, image: bytes, masks: Sequence[bytes], *, preview: str | None = None, **fields: Any) -> Edit:
        """Carry out an edit; arguments as `magedit.client.Client.submit`, ``preview`` as `cli.preview.shower`.

        Raises:
            ServiceError: it is rejected or fails, with the service's problem.
            InvalidSetting: previews would show what the settings withhold.
        """
        if preview is not None and self._settings.safety == "withhold":
            raise InvalidSetting(
                "--preview would show pictures that MAGEDIT_SAFETY=withhold may withhold: leave one of them out"
            )
        try:
            claim = self._claim(image, masks, **{name: value for name, value in fields.items() if value is not None})
        except (MAGEditError, JobError, RequestError) as error:
            raise refused(problem_of(error)) from error
        record = self._run(claim, preview)
        view = edit_view(record, position=None, model=None, now=0.0)
        hrefs = [each.href for each in (*view.results, *view.artifacts)]
        keys = [each.key for each in (*record.results, *record.artifacts)]
        self._keys |= dict(zip(hrefs, keys, strict=True))
        return Edit.model_validate_json(view.model_dump_json())

    def fetch(self, href: str) -> bytes:
        """The bytes of a result or artifact."""
        return self._store.get(self._keys[href])

    def _claim(
        self,
        image: bytes,
        masks: Sequence[bytes],
        *,
        mask_mode: MaskMode = "white",
        mask_shapes: Sequence[Any] | None = None,
        **fields: Any,
    ) -> JobRecord:
        """A claimed record, with its inputs in storage."""
        chosen = {name: fields.pop(name) for name in JobOptions.model_fields if name in fields}
        try:
            options = JobOptions.model_validate(chosen)
        except ValidationError as error:
            raise invalid_parameter(error) from error
        info = self._served.info
        checkpoint = info.as_checkpoint(from_tokenizers(self._served.tokenizer_json))
        asked, given = read_asked(fields), None if mask_shapes is None else read_shapes(mask_shapes)
        shapes = one_per_region(given, len(masks), instructed=asked.instruction is not None)
        read = language_model_of(self._settings) or read_by_rules
        edit = resolve(asked, checkpoint, masks=len(shapes), read=read).edit()
        check_options(options, edit.configs)
        shapes = shapes or instructed_shapes(edit, info)
        find = tuple(shape if shape.to_find else None for shape in shapes)
        softness = edit.config.mask_softness
        picture, drawn = read_inputs(image, masks, mask_mode, self._settings, shapes=shapes, softness=softness)
        job, now = new_id(), time.time()
        inputs = {image_key(OWNER, job): picture}
        inputs |= {mask_key(OWNER, job, number): mask for number, mask in enumerate(drawn) if mask is not None}
        for key, each in inputs.items():
            self._store.put(key, write_png(each), "image/png")
        image_name, *mask_names = inputs
        return JobRecord(
            id=job,
            tenant=OWNER,
            request=EditRequest(model=info.name, find=find if any(find) else (), **dict(edit), **dict(options)),
            image=image_name,
            masks=tuple(mask_names),
            state=State.RUNNING,
            attempt=1,
            created_at=now,
            started_at=now,
        )

    def _run(self, claim: JobRecord, preview: str | None) -> JobRecord:
        with progress_bar(self._console) as bar:
            task = bar.add_task("edit", total=1.0)
            show = shower(preview, self._console, bar) if preview else None

            class Shown(Reporter):
                def __call__(self, progress: Progress) -> None:
                    super().__call__(progress)
                    if news := self.news():
                        stage = f"{news.stage} {news.step}/{news.steps}"
                        bar.update(task, description=stage, completed=news.fraction)

                def show(self, preview: Preview) -> None:
                    if show is not None:
                        show(preview.picture)

            report = Shown()
            try:
                finished = work.run(
                    claim,
                    self._served.editor,
                    self._store,
                    report,
                    finder=self._served.finder,
                    withhold=self._settings.safety == "withhold",
                    previews=show is not None,
                    thresholds=work.thresholds_of(self._settings),
                )
            except (MAGEditError, ContentWithheld) as error:
                raise refused(failure_of(error)) from error
            bar.update(task, description="succeeded", completed=1.0)
        done = {
            "state": State.SUCCEEDED,
            "finished_at": time.time(),
            "progress": report.last,
            "measures": finished.measures,
            "assessment": finished.assessment,
            "results": finished.results,
            "artifacts": finished.artifacts,
        }
        return claim.model_copy(update=done)


def require_known_words(settings: Settings, fields: Mapping[str, Any]) -> None:
    """Check the prompts of an edit against a closed vocabulary, which costs nothing before the checkpoint is loaded.

    Raises:
        ServiceError: as `LocalEditor.edit`.
    """
    if settings.embedding_dir is not None or fields.get("prompt_syntax") not in (None, "plain"):
        return  # the words are known once it is loaded
    words = closed_vocabulary(settings.checkpoint or str(checkpoint_path()))
    prompts = {name: fields.get(name) for name in ("source_prompt", "target_prompt")}
    try:
        if fields.get("instruction") and not settings.instruction_url:
            found = read_by_rules(fields["instruction"], prompts["source_prompt"], words)
            prompts = {name: prompt or getattr(found, name) for name, prompt in prompts.items()}
        for name, prompt in prompts.items():
            check_vocabulary(prompt or "", words, field=name)
    except MAGEditError as error:
        raise refused(problem_of(error)) from error


def load_checkpoint(settings: Settings) -> ServedModel:
    """Load the settings' checkpoint as a worker does. Raises ModelUnavailable."""
    silence()
    name = settings.checkpoint or "demo"
    try:
        return load(settings)
    except CheckpointError as error:
        raise ModelUnavailable(f"the checkpoint {name!r} cannot be used: {error.message}") from error
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"the checkpoint {name!r} cannot be loaded: {_first_line(error)}") from error
    except (RuntimeError, AssertionError) as error:
        raise ModelUnavailable(
            f"{name!r} cannot be used on the device {settings.device!r}: {_first_line(error)}"
        ) from error


def silence() -> None:
    """Turn off the libraries' progress bars and warnings: the bar that counts is the edit's, and what these libraries
    lack or deprecate is not the caller's concern."""
    for each in (diffusers_logging, transformers_logging):
        each.disable_progress_bar()
        each.set_verbosity_error()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def refused(problem: schema.Problem) -> ServiceError:
    """The problem as a client raises it."""
    return ServiceError(Problem.model_validate_json(problem.model_dump_json()), None)
