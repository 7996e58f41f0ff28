"""`python -m recipes`: train, export and evaluate the demo checkpoint, and draw its scenes."""

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from PIL import Image

from magedit.config import EditConfig
from magedit.demo import checkpoint_path, edit_set, instruct_checkpoint_path
from magedit.demo.draw import draw_scene
from magedit.demo.scene import sample_scene
from recipes.presets.flow import FLOW_PRESETS
from recipes.presets.parameters import FlowPreset, Preset, SegmenterPreset
from recipes.presets.segmenter import SEGMENTER_PRESETS
from recipes.presets.selection import gentler, preset_of, with_samples
from recipes.presets.stable_diffusion import PRESETS

if TYPE_CHECKING:
    from recipes.export import Guidance
    from recipes.training.processes import Work

CHECKPOINT = checkpoint_path()
INSTRUCT_CHECKPOINT = instruct_checkpoint_path()

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Training of the demo checkpoints.")

PresetName = Annotated[str, typer.Option("--preset", help=f"One of {', '.join(PRESETS)}.")]
State = Annotated[Path, typer.Option("--state", help="Folder of snapshots, curves and latents.")]
Out = Annotated[Path, typer.Option("--out", help="Output folder.")]
Cells = Annotated[int, typer.Option(help="Side in cells of the attention maps that guidance reads by default.")]
STEP_SIZE = 15.0
"""Guidance step size written into an exported checkpoint; measured on the demo edits with 15 updates a step."""
SPATIAL_STEP_SIZE = 0.2
"""The same for the spatial ratio."""

StepSize = Annotated[float, typer.Option(help="Step size of guidance by default.")]
SpatialStepSize = Annotated[float, typer.Option(help="The same for the spatial ratio.")]
Start = Annotated[
    Path | None,
    typer.Option(
        "--start",
        help="Checkpoint folder to continue from: its UNet and text encoder are trained further, its VAE is kept.",
    ),
]
Longer = Annotated[int | None, typer.Option(min=1, help="Samples of the stage, in place of the preset's.")]
Share = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="Initial share of the stage's learning rates, falling linearly: for a trained `--start`, which the full "
        "rates would disturb.",
    ),
]


def _guidance(resolution: int, step_size: float, spatial_step_size: float) -> "Guidance":
    from recipes.export import Guidance

    return Guidance(resolution=resolution, step_size=step_size, spatial_step_size=spatial_step_size)


Seed = Annotated[int | None, typer.Option(help="Seed of the rooms, overriding the preset's, for continued training.")]
Processes = Annotated[int, typer.Option(min=1, help="Processes of one thread each.")]
Budget = Annotated[float | None, typer.Option(help="Stop after this many seconds; run again to resume.")]
FlowPresetName = Annotated[str, typer.Option("--preset", help=f"One of {', '.join(FLOW_PRESETS)}.")]
SegmenterPresetName = Annotated[str, typer.Option("--preset", help=f"One of {', '.join(SEGMENTER_PRESETS)}.")]
FlowStart = Annotated[
    Path | None,
    typer.Option("--start", help="Checkpoint folder of this layout to continue from; its VAE is kept."),
]


@contextmanager
def _within_budget(out: Path) -> Iterator[None]:
    """Prints the written checkpoint, or exits with status 3 if the budget ran out first."""
    from recipes.training.loop import OutOfBudgetError

    try:
        yield
    except OutOfBudgetError as error:
        typer.echo(str(error))
        raise typer.Exit(3) from error
    typer.echo(f"checkpoint: {out}")


def _train(
    work: "Work",
    preset: Preset | FlowPreset | SegmenterPreset,
    state: Path,
    out: Path,
    processes: int,
    budget_s: float | None,
) -> None:
    """Trains in ``processes`` processes, for ``budget_s`` seconds at most."""
    from recipes.training.loop import Run
    from recipes.training.processes import train_in_processes

    run = Run(state=state, seed=preset.seed, snapshot_s=preset.snapshot_s)
    with _within_budget(out):
        train_in_processes(work, run, processes=processes, budget_s=budget_s)


@app.command()
def train(
    preset: PresetName = "cpu-128",
    state: State = Path(".cache/demo-training"),
    out: Out = CHECKPOINT,
    processes: Processes = 1,
    budget_s: Budget = None,
    guidance_resolution: Cells = 16,
    guidance_step_size: StepSize = STEP_SIZE,
    spatial_step_size: SpatialStepSize = SPATIAL_STEP_SIZE,
    text_samples: Longer = None,
    vae_samples: Longer = None,
    unet_samples: Longer = None,
    unet_rate: Share = None,
    start: Start = None,
    seed: Seed = None,
) -> None:
    """Train the checkpoint; after a kill the same command resumes from the last snapshots."""
    from recipes.recipe import train_all

    chosen = preset_of(PRESETS, preset, seed)
    for stage, samples in (("text", text_samples), ("vae", vae_samples), ("unet", unet_samples)):
        chosen = with_samples(chosen, stage, samples)
    chosen = gentler(chosen, "unet", unet_rate)
    guidance = _guidance(guidance_resolution, guidance_step_size, spatial_step_size)
    work = partial(train_all, preset=chosen, out=out, guidance=guidance, start=start)
    _train(work, chosen, state, out, processes, budget_s)


@app.command()
def train_flow(
    preset: FlowPresetName = "flow-256",
    state: State = Path(".cache/demo-flow"),
    out: Out = Path("flow-checkpoint"),
    processes: Processes = 1,
    budget_s: Budget = None,
    samples: Longer = None,
    rate: Share = None,
    start: FlowStart = None,
    seed: Seed = None,
) -> None:
    """Train a checkpoint in Stable Diffusion 3's layout; after a kill the same command resumes."""
    from recipes.flow_recipe import train_flow

    chosen = gentler(with_samples(preset_of(FLOW_PRESETS, preset, seed), "flow", samples), "flow", rate)
    _train(partial(train_flow, preset=chosen, out=out, start=start), chosen, state, out, processes, budget_s)


@app.command()
def train_instruct(
    preset: PresetName = "cpu-128",
    state: State = Path(".cache/demo-instruct"),
    out: Out = INSTRUCT_CHECKPOINT,
    start: Annotated[Path, typer.Option("--start", help="Folder of the checkpoint to train on.")] = CHECKPOINT,
    budget_s: Budget = None,
    samples: Longer = None,
) -> None:
    """Fine-tune the checkpoint to edit by instruction, on one thread; after a kill the same command resumes."""
    import torch

    from recipes.instruct import train_instruct
    from recipes.training.loop import Run

    torch.set_num_threads(1)
    recipe = with_samples(preset_of(PRESETS, preset), "instruct", samples)
    deadline = None if budget_s is None else time.monotonic() + budget_s
    state.mkdir(parents=True, exist_ok=True)
    run = Run(state=state, seed=recipe.seed, snapshot_s=recipe.snapshot_s, deadline=deadline)
    with _within_budget(out):
        train_instruct(recipe, run, out, start)


@app.command()
def train_segmenter(
    preset: SegmenterPresetName = "segmenter-128",
    state: State = Path(".cache/demo-segmenter"),
    out: Out = Path("segmenter"),
    processes: Processes = 1,
    budget_s: Budget = None,
    samples: Longer = None,
) -> None:
    """Train the segmenter; after a kill the same command resumes from the last snapshot."""
    from recipes.segmenter import train_segmenter

    chosen = with_samples(preset_of(SEGMENTER_PRESETS, preset), "segmenter", samples)
    _train(partial(train_segmenter, preset=chosen, out=out), chosen, state, out, processes, budget_s)


@app.command()
def export_segmenter(
    preset: SegmenterPresetName = "segmenter-128",
    state: State = Path(".cache/demo-segmenter"),
    out: Out = Path("segmenter"),
) -> None:
    """Export the segmenter of a `train-segmenter` run in progress."""
    from recipes.segmenter import export_segmenter_snapshot

    seen = export_segmenter_snapshot(preset_of(SEGMENTER_PRESETS, preset), state, out)
    typer.echo(f"segmenter after {seen} samples: {out}")


@app.command()
def train_consistency(
    preset: PresetName = "cpu-128",
    state: State = Path(".cache/demo-consistency"),
    out: Out = Path("consistency-checkpoint"),
    start: Annotated[Path, typer.Option("--start", help="Folder of the checkpoint to distil.")] = CHECKPOINT,
    processes: Processes = 1,
    budget_s: Budget = None,
    samples: Longer = None,
    guidance_resolution: Cells = 16,
    guidance_step_size: StepSize = STEP_SIZE,
    spatial_step_size: SpatialStepSize = SPATIAL_STEP_SIZE,
) -> None:
    """Distil the checkpoint into a few-step one; after a kill the same command resumes."""
    from recipes.consistency import train_consistency

    chosen = with_samples(preset_of(PRESETS, preset), "consistency", samples)
    guidance = _guidance(guidance_resolution, guidance_step_size, spatial_step_size)
    work = partial(train_consistency, preset=chosen, out=out, guidance=guidance, start=start)
    _train(work, chosen, state, out, processes, budget_s)


@app.command()
def export_consistency(
    preset: PresetName = "cpu-128",
    state: State = Path(".cache/demo-consistency"),
    out: Out = Path("consistency-checkpoint"),
    start: Annotated[Path, typer.Option("--start", help="Folder of the checkpoint to distil.")] = CHECKPOINT,
    guidance_resolution: Cells = 16,
    guidance_step_size: StepSize = STEP_SIZE,
    spatial_step_size: SpatialStepSize = SPATIAL_STEP_SIZE,
) -> None:
    """Export a checkpoint of a `train-consistency` run in progress."""
    from recipes.consistency import export_consistency_snapshot

    guidance = _guidance(guidance_resolution, guidance_step_size, spatial_step_size)
    seen = export_consistency_snapshot(preset_of(PRESETS, preset), state, out, guidance, start)
    typer.echo(f"checkpoint after {seen} samples: {out}")


@app.command()
def export(
    preset: PresetName = "cpu-128",
    state: State = Path(".cache/demo-training"),
    out: Out = CHECKPOINT,
    guidance_resolution: Cells = 16,
    guidance_step_size: StepSize = STEP_SIZE,
    spatial_step_size: SpatialStepSize = SPATIAL_STEP_SIZE,
    text_samples: Longer = None,
    vae_samples: Longer = None,
    start: Start = None,
) -> None:
    """Export a checkpoint of a run in progress."""
    from recipes.recipe import export_snapshot

    guidance = _guidance(guidance_resolution, guidance_step_size, spatial_step_size)
    chosen = with_samples(with_samples(preset_of(PRESETS, preset), "text", text_samples), "vae", vae_samples)
    seen = export_snapshot(chosen, state, out, guidance, start)
    typer.echo(f"checkpoint after {seen} samples: {out}")


@app.command()
def export_flow(
    preset: FlowPresetName = "flow-256",
    state: State = Path(".cache/demo-flow"),
    out: Out = Path("flow-checkpoint"),
    start: FlowStart = None,
) -> None:
    """Export a checkpoint of a `train-flow` run in progress."""
    from recipes.flow_recipe import export_flow_snapshot

    seen = export_flow_snapshot(preset_of(FLOW_PRESETS, preset), state, out, start)
    typer.echo(f"checkpoint after {seen} samples: {out}")


@app.command()
def evaluate(
    checkpoint: Annotated[Path, typer.Option(help="Folder of the checkpoint to measure.")] = CHECKPOINT,
    out: Out = Path("demo-evaluation"),
    prompts: Annotated[int, typer.Option(min=1, help="Prompts to draw.")] = 64,
    pictures: Annotated[int, typer.Option(min=1, help="Pictures for VAE and attention.")] = 64,
    inversions: Annotated[int, typer.Option(min=1, help="Pictures to invert.")] = 32,
    edits: Annotated[int, typer.Option(min=0, help="Edits of each kind in each set, with and without guidance.")] = 5,
    steps: Annotated[
        int | None, typer.Option(min=2, help="Sampling steps. Default: 28 for a flow, 50 for DDIM.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Which held-out rooms.")] = 0,
    device: Annotated[str, typer.Option(help="Torch device.")] = "cpu",
    processes: Annotated[int, typer.Option(min=1, help="Number of processes for the edits.")] = 1,
) -> None:
    """Measure a checkpoint of either layout: `evaluation.json` and picture grids in a folder."""
    import torch

    from magedit.demo import evaluate as measure
    from magedit.demo.flow_model import FlowModel
    from magedit.demo.model import DemoModel

    torch.set_num_threads(1)  # a second thread costs more than it gains at these sizes
    out.mkdir(parents=True, exist_ok=True)
    is_flow = (checkpoint / "transformer").is_dir()
    model = FlowModel.load(checkpoint, device) if is_flow else DemoModel.load(checkpoint, device)
    steps = steps or (28 if is_flow else 50)
    figures: dict[str, Any] = {}
    table = out / "evaluation.json"

    def note(**found: Any) -> None:
        figures.update(found)
        table.write_text(json.dumps(figures, indent=2) + "\n")

    drawn, grid = measure.prompt_following(model, prompts, steps=steps, seed=seed)
    grid.save(out / "prompts.png")
    note(prompts=drawn)
    note(vae=measure.vae_quality(model, pictures, seed=seed))
    note(inversion=measure.inversion_quality(model, inversions, steps=steps, seed=seed))
    if isinstance(model, FlowModel):
        note(attention=measure.flow_pointing(model, pictures, seed=seed))
    else:
        side = int(json.loads((checkpoint / "model_index.json").read_text())["guidance_resolution"])
        note(attention=measure.attention_pointing(model, pictures, side, seed=seed))
    if edits and not is_flow:
        configs = {name: EditConfig(method=name, steps=steps).closed() for name in ("p2p", "mag-edit")}
        table_of_edits, grid = measure.edit_quality(
            checkpoint, edit_set(edits, seed), configs, device=device, processes=processes
        )
        grid.save(out / "edits.png")
        note(edits=table_of_edits)
    typer.echo(json.dumps(figures, indent=2))


@app.command()
def scenes(
    out: Out = Path("scenes.png"),
    seed: Annotated[int, typer.Option(help="Which rooms.")] = 0,
    rows: Annotated[int, typer.Option(min=1)] = 4,
    columns: Annotated[int, typer.Option(min=1)] = 6,
    size: Annotated[int, typer.Option(min=16, help="Side of one picture in pixels.")] = 256,
) -> None:
    """Write a contact sheet of rooms."""
    rng = random.Random(seed)
    sheet = Image.new("RGB", (columns * size, rows * size))
    for index in range(rows * columns):
        sheet.paste(draw_scene(sample_scene(rng), size), (index % columns * size, index // columns * size))
    sheet.save(out)
    typer.echo(f"{rows * columns} rooms: {out}")


if __name__ == "__main__":
    app()
