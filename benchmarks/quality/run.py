"""Edits with known truth (`make bench-quality`): success, likeness and cost by kind of edit, a row per configuration.

There are two sets: *plain* edits, which the prompts alone can localize, and *complex* ones, which need the mask. Every
figure is written to a journal at once; the same command resumes after a kill, and other tables reuse common entries.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from numpy import asarray
from PIL import Image
from rich.console import Console
from rich.progress import track

from benchmarks.quality.metrics import structure
from benchmarks.quality.rows import BFLOAT16, BY_KIND, CEILING, ROWS, TABLES
from benchmarks.quality.sheet import sheet
from benchmarks.quality.tables import ATTRIBUTES, Figures, markdown, regressions, summary
from magedit.config import PRESETS, EditConfig, Region
from magedit.demo import checkpoint_path, edit_set, instruct_checkpoint_path
from magedit.demo.edits import EDIT_KINDS, DemoEdit, in_room
from magedit.demo.evaluate import judge_edit, load_pipeline, psnr
from magedit.demo.flow_model import FlowModel
from magedit.demo.instructions import instruction
from magedit.demo.model import DemoModel
from magedit.errors import EditDiverged, InvalidEdit
from magedit.inversion.registry import inversion_settings
from magedit.measures.meter import planned
from magedit.measures.passes import Passes
from magedit.measures.report import Stage
from magedit.methods.compatibility import with_defaults
from magedit.methods.registry import METHODS
from magedit.pipelines.instruct import InstructPipeline
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.pipelines.output import Inversion
from magedit.prompts.kinds import KIND_GOVERNED, EditKind, with_kind
from magedit.prompts.reading import read_prompts

SEEDS: Mapping[str, tuple[int, ...]] = {"tuning": (1, 2, 3), "test": (5, 6, 7)}
"""Seeds of the edits. Defaults are chosen on the tuning seeds only; published figures come from the test seeds, which
are run once per release and never used for tuning."""
KIND_OF: dict[str, EditKind] = {"replacement": "replacement", "addition": "addition", "removal": "removal"}
"""Kinds of the set by those of an edit; the others are attributes."""
JUDGE = 2
"""Version of `judge_edit`, so that older verdicts in the journal are not reused."""
BEFORE_EDIT = (Stage.PREPARE, Stage.INVERT, Stage.OPTIMIZE)
"""Stages that an edit from an existing inversion skips."""

_HERE: dict[str, Any] = {}


def _start(checkpoint: Path, instruct: Path, device: str, defaults: Mapping[str, Any]) -> None:
    torch.set_num_threads(1)
    _HERE["defaults"] = defaults
    is_flow = (checkpoint / "transformer").is_dir()
    _HERE["model"] = (FlowModel if is_flow else DemoModel).load(checkpoint, device)
    _HERE["load"] = {
        "float32": partial(load_pipeline, checkpoint, device),
        "bfloat16": partial(load_pipeline, checkpoint, device, torch.bfloat16),
        "instruct": lambda: InstructPipeline.from_pretrained(str(instruct)).to(device),
    }


def _pipeline(name: str, config: EditConfig) -> MAGEditPipeline | InstructPipeline:
    """The pipeline of row ``name``, loaded when it is first asked for."""
    which = "instruct" if _is_instructed(config) else "bfloat16" if name in BFLOAT16 else "float32"
    if which not in _HERE:
        _HERE[which] = _HERE["load"][which]()
    found: MAGEditPipeline | InstructPipeline = _HERE[which]
    return found


class Inversions:
    """Inversions of one edit's picture: each is computed once and charged to every row that starts from it."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Inversion, float]] = {}

    @staticmethod
    def _key(edit: DemoEdit, config: EditConfig) -> str:
        return json.dumps([edit.source_prompt, inversion_settings(config)], sort_keys=True)

    def of(self, edit: DemoEdit, config: EditConfig) -> tuple[Inversion | None, float]:
        """The initial inversion and its seconds; None: the edit computes its own."""
        return self._known.get(self._key(edit, config), (None, 0.0)) if self._shared(config) else (None, 0.0)

    def keep(self, edit: DemoEdit, config: EditConfig, inversion: Inversion, seconds: float) -> None:
        """Store the inversion of an edit."""
        if self._shared(config):
            self._known.setdefault(self._key(edit, config), (inversion, seconds))

    @staticmethod
    def _shared(config: EditConfig) -> bool:
        """Whether the inversion's passes are known in advance; those of an optimisation are only counted at run
        time."""
        stages = planned(config, inverted=False)
        return bool(METHODS[config.method].inversions) and Stage.OPTIMIZE not in stages


def measure(
    pipe: MAGEditPipeline | InstructPipeline, edit: DemoEdit, config: EditConfig, inversions: Inversions
) -> tuple[Figures, Image.Image]:
    """Carry out one edit and compare it with its truth; the figures and the result.

    ``token`` and ``spatial`` are the ratios of the words in the sampling passes of the guided steps, None where nothing
    reads them; ``background_db`` is measured on the model's output, before paste-back.
    """
    size = pipe.size
    image, mask = edit.image(size), edit.mask(size)
    inversion, seconds = inversions.of(edit, config)
    regions = [Region(words=edit.words)]
    target = instruction(edit) if isinstance(pipe, InstructPipeline) else edit.target_prompt
    output = pipe(image, [mask], edit.source_prompt, target, regions, config, inversion=inversion)
    measures = output.measures
    passes = Passes(
        forward=measures.unet_forward, truncated=measures.unet_truncated_forward, backward=measures.unet_backward
    )
    if inversion is None:
        before = sum(measures.stage_seconds.get(stage, 0.0) for stage in BEFORE_EDIT)
        inversions.keep(edit, config, output.inversion, before)
    else:
        passes += planned(config, inverted=False)[Stage.INVERT]
    (result,) = output.images
    assert isinstance(result, Image.Image)
    (drawn,) = _HERE["model"].decode(output.edited[0].latent)
    after = measures.after[0] if measures.after else None
    figures = {
        **judged(edit, result, size),
        "background_db": round(psnr(drawn, image, asarray(mask) == 0), 2),
        "token": round(after.token, 5) if after else None,
        "spatial": round(after.spatial, 5) if after else None,
        "seconds": round(seconds + sum(measures.stage_seconds.values()), 2),
        "passes": round(passes.work, 2),
    }
    return figures, result


def judged(edit: DemoEdit, result: Image.Image, size: int) -> Figures:
    """Similarity of a picture to the truth; for attributes also of its structure."""
    inside = asarray(edit.mask(size)) > 0
    kept = round(structure(result, edit.truth(size), inside), 4) if edit.kind in ATTRIBUTES else None
    return {**judge_edit(edit, result, size), "structure": kept}


def ceiling(edit: DemoEdit) -> Figures:
    """The figures of a perfect edit after passing through the VAE."""
    model = _HERE["model"]
    (seen,) = model.decode(model.encode(edit.truth(model.size)))
    mask = edit.mask(model.size)
    result = Image.composite(seen, edit.image(model.size), mask)
    background = round(psnr(seen, edit.image(model.size), asarray(mask) == 0), 2)
    return {**judged(edit, result, model.size), "background_db": background}


def resolved(
    name: str, edit: DemoEdit, config: EditConfig, defaults: Mapping[str, Any] = MappingProxyType({})
) -> tuple[DemoEdit, EditConfig]:
    """The edit with the words of a caller who names none, and ``config`` as row ``name`` has it for this edit, with a
    checkpoint's own ``defaults``. Removals name what fills the space."""
    unset = {each for each in asdict(config) if getattr(config, each) == getattr(EditConfig(), each)}
    config = with_defaults(config, defaults, given=asdict(config).keys() - unset)
    if edit.kind == "removal":
        edit = in_room(edit)
    else:
        edit = replace(edit, words=read_prompts(edit.source_prompt, edit.target_prompt).default_words)
    if name in BY_KIND:
        prompts = (edit.source_prompt, edit.target_prompt)
        kind = KIND_OF.get(edit.kind, "attribute")
        given = [each for each in KIND_GOVERNED if getattr(config, each) != getattr(EditConfig(), each)]
        _, config = with_kind(config, kind, *prompts, given=given, preset="balanced", has_words=True)
    # Also for methods that ignore a kind's defaults: a row is defined by its name, not by the pipeline.
    return edit, config.closed()


def _work(edit: DemoEdit, rows: Mapping[str, EditConfig], pictures: Mapping[str, Path]) -> list[Figures]:
    """Every row's figures of one edit, and its result in the row's file; a rejected or diverged edit counts as
    failed."""
    lines: list[Figures] = []
    inversions: dict[int, Inversions] = defaultdict(Inversions)  # of each pipeline its own
    for name, config in rows.items():
        about = {"row": name, "edit": edit.name, "twin": has_twin(edit)}
        if name == CEILING:
            lines.append(about | ceiling(edit))
            continue
        told, used = resolved(name, edit, config, _HERE["defaults"])
        try:
            pipe = _pipeline(name, used)
            figures, result = measure(pipe, told, used, inversions[id(pipe)])
            result.save(pictures[name])
            lines.append(about | figures)
        except (InvalidEdit, EditDiverged) as error:
            lines.append(about | {"error": error.code, "success": 0.0, "read": 0.0})
    return lines


def _is_instructed(config: EditConfig) -> bool:
    return METHODS[config.method].own_checkpoint


def has_twin(edit: DemoEdit) -> bool:
    """Whether another thing in the room has the same name as the edited one."""
    thing = (edit.vanishing or edit.appearing)[0]
    names = [(other.kind, other.colour, other.pattern) for other in edit.source.things if other != thing]
    return (thing.kind, thing.colour, thing.pattern) in names


def _weights(checkpoint: Path) -> str:
    """A digest of the weights and the step sizes stored with them."""
    digest = hashlib.sha256()
    for path in sorted([*checkpoint.rglob("*.safetensors"), checkpoint / "model_index.json"]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _key(weights: str, name: str, edit: DemoEdit, config: EditConfig, defaults: Mapping[str, Any]) -> str:
    """Key of one journal line: everything its figures depend on except the program itself."""
    told, used = resolved(name, edit, config, defaults)
    settings: list[Any] = [
        JUDGE,
        weights,
        name == CEILING,
        repr(told),
        asdict(used),
        *(["bfloat16"] * (name in BFLOAT16)),
    ]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def run(
    checkpoint: Path,
    rows: Mapping[str, EditConfig],
    edits: Sequence[DemoEdit],
    *,
    state: Path,
    instruct: Path | None = None,
    processes: int = 1,
    device: str = "cpu",
) -> list[Figures]:
    """The figures of ``edits`` under every row, in this order; entries of the journal are not recomputed.

    ``instruct``: the checkpoint of rows that edit by instruction; None: the shipped one.
    """
    instruct = instruct or instruct_checkpoint_path()
    (state / "pictures").mkdir(parents=True, exist_ok=True)
    journal = state / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True) if journal.exists() else []
    whole = [line for line in lines if line.endswith("\n")]  # a kill may have cut the last one
    journal.write_text("".join(whole))
    known = {line["key"]: line["figures"] for line in map(json.loads, whole)}
    weights = {each: _weights(instruct if each else checkpoint) for each in map(_is_instructed, rows.values())}
    defaults = load_pipeline(checkpoint).backbone.defaults
    keys = {
        (edit.name, name): _key(weights[_is_instructed(row)], name, edit, row, defaults)
        for edit in edits
        for name, row in rows.items()
    }
    todo = [
        (edit, missing)
        for edit in edits
        if (missing := {name: row for name, row in rows.items() if keys[edit.name, name] not in known})
    ]
    spawn = multiprocessing.get_context("spawn")
    if todo:
        with (
            ProcessPoolExecutor(
                processes, spawn, initializer=_start, initargs=(checkpoint, instruct, device, defaults)
            ) as pool,
            journal.open("a") as file,
        ):
            files = [{name: picture(state, keys[edit.name, name]) for name in missing} for edit, missing in todo]
            work = pool.map(_work, *zip(*todo, strict=True), files)
            for done in track(work, "edits", total=len(todo)):
                for figures in done:
                    key = keys[figures["edit"], figures["row"]]
                    known[key] = figures
                    file.write(json.dumps({"key": key, "figures": figures}) + "\n")
                file.flush()
    # two rows may be the same edit; each keeps its own name
    return [
        known[key := keys[edit.name, name]] | {"row": name, "edit": edit.name, "key": key}
        for edit in edits
        for name in rows
    ]


def picture(state: Path, key: str) -> Path:
    """The file of an edit's result."""
    return state / "pictures" / f"{key}.png"


def edits_of(number: int, seeds: Sequence[int], kinds: Sequence[str] = EDIT_KINDS) -> list[DemoEdit]:
    """``number`` edits of each kind in each set for each seed, which their names end with: "plain-colour-3.5"."""
    return [
        replace(edit, name=f"{edit.name}.{seed}")
        for seed in seeds
        for edit in edit_set(number, seed)
        if edit.kind in kinds
    ]


def main() -> None:
    """Run the edits that the journal lacks, print the tables and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=checkpoint_path())
    parser.add_argument("--instruct", type=Path, help="checkpoint of the rows that edit by instruction")
    parser.add_argument("--edits", type=int, default=12, help="edits of each of 6 kinds in each of 2 sets, a seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="which edits")
    parser.add_argument("--set", choices=list(SEEDS), help="tuning seeds, or those of published figures")
    parser.add_argument("--kinds", nargs="*", choices=list(EDIT_KINDS), default=list(EDIT_KINDS), help="of these alone")
    parser.add_argument("--table", choices=list(TABLES), default="edits", help="rows of a published table")
    parser.add_argument("--rows", nargs="*", choices=[CEILING, *ROWS], help="other rows")
    parser.add_argument("--preset", choices=list(PRESETS), help="override for every row")
    parser.add_argument("--processes", type=int, default=1, help="one thread each")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--state", type=Path, default=Path(".cache/quality"), help="folder of the journal")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--sheet", type=Path, help="write randomly chosen verdicts with their pictures to this file")
    parser.add_argument("--verdicts", type=int, default=60, help="number of verdicts for `--sheet`")
    asked = parser.parse_args()
    rows = {name: ROWS.get(name, EditConfig()) for name in asked.rows or TABLES[asked.table]}
    if asked.preset:
        rows = {name: replace(row, **PRESETS[asked.preset]) for name, row in rows.items()}
    edits = edits_of(asked.edits, SEEDS[asked.set] if asked.set else asked.seeds, asked.kinds)
    figures = run(
        asked.checkpoint,
        rows,
        edits,
        state=asked.state,
        instruct=asked.instruct,
        processes=asked.processes,
        device=asked.device,
    )
    table = summary(figures)
    screen = Console(soft_wrap=True)
    for line in (*markdown(table), *regressions(table)):
        screen.print(line, markup=False, highlight=False)
    if asked.sheet:
        sheet(edits, figures, partial(picture, asked.state), asked.verdicts).save(asked.sheet)
    if asked.json:
        asked.json.write_text(json.dumps(table, indent=1) + "\n")
