import contextlib
import json
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from itertools import chain, pairwise
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from diffusers import StableDiffusion3Pipeline

from magedit.demo.flow_model import PADDING, FlowModel
from magedit.demo.vocabulary import TOLD
from magedit.edits.checkpoint import closed_vocabulary
from recipes.flow_recipe import export_flow_snapshot, train_flow
from recipes.presets.flow import FLOW_TOY
from recipes.training.loop import Run
from recipes.training.processes import train_in_processes

PROMPT = "a red sofa stands on the left of a room"


def _changed(part: str, one: Path, other: Path) -> bool:
    files = [next((folder / part).glob("*.safetensors")) for folder in (one, other)]
    return files[0].read_bytes() != files[1].read_bytes()


def test_a_killed_training_resumes_in_two_processes_and_is_trained_on(tmp_path: Path) -> None:
    state, out = tmp_path / "state", tmp_path / "checkpoint"
    command = [sys.executable, "-m", "recipes", "train-flow", "--preset", "flow-toy"]
    training = subprocess.Popen([*command, "--state", str(state), "--out", str(out)], stderr=subprocess.DEVNULL)
    snapshot = state / "flow.pt"
    while not snapshot.exists():
        with contextlib.suppress(subprocess.TimeoutExpired):
            pytest.fail(f"the training ended with {training.wait(timeout=0.05)} before its first snapshot")
    training.send_signal(signal.SIGKILL)
    assert training.wait() == -signal.SIGKILL
    assert not out.exists()
    assert 0 < export_flow_snapshot(FLOW_TOY, state, tmp_path / "early") < FLOW_TOY.flow.schedule.samples
    run = Run(state=state, seed=FLOW_TOY.seed, snapshot_s=0.0)
    train_in_processes(partial(train_flow, preset=FLOW_TOY, out=out), run, processes=2)
    curve = (state / "flow.jsonl").read_text().splitlines()
    assert json.loads(curve[-1])["seen"] >= FLOW_TOY.flow.schedule.samples
    _draws_as_diffusers_does(out)

    longer = tmp_path / "longer"
    few = replace(FLOW_TOY.flow, pictures=4, schedule=replace(FLOW_TOY.flow.schedule, samples=8))
    further = Run(state=tmp_path / "more", seed=FLOW_TOY.seed)
    train_in_processes(partial(train_flow, preset=replace(FLOW_TOY, flow=few), out=longer, start=out), further)
    assert sorted(path.name for path in (tmp_path / "more").glob("*.pt")) == ["flow.pt"]
    assert not _changed("vae", out, longer)
    assert all(_changed(part, out, longer) for part in ("text_encoder", "text_encoder_2", "transformer"))


def _draws_as_diffusers_does(folder: Path) -> None:
    pipeline = StableDiffusion3Pipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.randn(1, 8, 8, 8, generator=torch.Generator().manual_seed(3))
    latents = pipeline(PROMPT, num_inference_steps=3, latents=noise, guidance_scale=4.0, output_type="latent").images
    model = FlowModel.load(folder)
    words, pooled = model.embed(["", PROMPT])
    words = F.pad(words, (0, 0, 0, PADDING))  # the silent T5
    times, expected = model.times(3), noise
    for time, following in pairwise(times):
        without, with_text = model.velocity(expected.repeat(2, 1, 1, 1), time, (words, pooled)).chunk(2)
        expected = expected + (following - time) * (without + 4.0 * (with_text - without))
    torch.testing.assert_close(latents, expected, rtol=1e-3, atol=1e-3)
    assert model.draw([PROMPT], steps=2)[0].size == (64, 64)
    assert closed_vocabulary(folder) == tuple(chain(*TOLD.values()))
    assert json.loads((folder / "model_index.json").read_text())["max_sequence_length"] == 0


def test_a_missing_snapshot_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no snapshot yet"):
        export_flow_snapshot(FLOW_TOY, tmp_path, tmp_path / "out")
