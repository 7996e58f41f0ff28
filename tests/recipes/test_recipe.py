import contextlib
import json
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from magedit.demo.model import DemoModel
from recipes.export import Guidance
from recipes.presets.stable_diffusion import TOY
from recipes.recipe import export_snapshot, train_all
from recipes.training.loop import Run
from recipes.training.processes import train_in_processes

GUIDANCE = Guidance(resolution=8, step_size=1.0, spatial_step_size=0.25)


def _run(state: Path) -> Run:
    return Run(state=state, seed=TOY.seed, snapshot_s=TOY.snapshot_s)


def test_a_killed_training_resumes_in_two_processes_and_ends(tmp_path: Path) -> None:
    state, out = tmp_path / "state", tmp_path / "checkpoint"
    command = [
        sys.executable,
        "-m",
        "recipes",
        "train",
        "--preset",
        "toy",
        "--state",
        str(state),
        "--out",
        str(out),
    ]
    training = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    snapshot = state / "unet.pt"
    while not snapshot.exists():
        with contextlib.suppress(subprocess.TimeoutExpired):
            pytest.fail(f"the training ended with {training.wait(timeout=0.05)} before its first UNet snapshot")
    training.send_signal(signal.SIGKILL)
    assert training.wait() == -signal.SIGKILL
    assert not out.exists()
    seen = export_snapshot(TOY, state, tmp_path / "early", GUIDANCE)
    assert 0 < seen < TOY.unet.schedule.samples
    train_in_processes(partial(train_all, preset=TOY, out=out, guidance=GUIDANCE), _run(state), processes=2)
    for folder in (tmp_path / "early", out):
        assert DemoModel.load(folder).draw(["a red sofa"], steps=2)[0].size == (64, 64)
    curve = (state / "unet.jsonl").read_text().splitlines()
    assert json.loads(curve[-1])["seen"] >= TOY.unet.schedule.samples

    # a checkpoint trained on keeps the VAE that its UNet was trained against
    longer = tmp_path / "longer"
    stage = replace(TOY.unet, pictures=4, schedule=replace(TOY.unet.schedule, samples=8))
    work = partial(train_all, preset=replace(TOY, unet=stage), out=longer, guidance=GUIDANCE, start=out)
    train_in_processes(work, _run(tmp_path / "more"), budget_s=600)
    assert sorted(path.name for path in (tmp_path / "more").glob("*.pt")) == ["unet.pt"]
    for part, same in (("vae", True), ("text_encoder", False), ("unet", False)):
        before, after = (next((folder / part).glob("*.safetensors")).read_bytes() for folder in (out, longer))
        assert (before == after) is same, part
