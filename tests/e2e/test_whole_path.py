"""One edit through everything: HTTP, Redis, a worker process with a real checkpoint, S3, and back."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageChops
from rich.console import Console

from cli.demo import report, run_demo
from cli.processes.stack import Stack
from jobs.storage import ObjectStore, job_prefix
from magedit.client import Client, Edit, ServiceError
from magedit.images.masks import dilate, outside_difference
from tests.e2e.conftest import LONG, PROMPTS, QUICK, SIZE, carpet, room

EXAMPLES = Path(__file__).parents[2] / "openapi" / "examples"


@pytest.fixture
def service(s3_stack: Stack) -> Iterator[Client]:
    with Client(s3_stack.url) as client:
        yield client


def assert_edited(content: bytes, dilation: int) -> None:
    """Changed inside the mask, identical outside the dilated mask, the size of the input."""
    result = Image.open(io.BytesIO(content)).convert("RGB")
    assert result.size == SIZE
    assert outside_difference(room(), result, carpet(), dilation) == 0
    changed = ImageChops.difference(room(), result).getbbox()
    allowed = dilate(carpet(), dilation).getbbox()
    assert changed is not None
    assert allowed is not None
    assert changed[0] >= allowed[0]
    assert changed[3] <= allowed[3]


def test_submit_watch_fetch(service: Client, s3_stack: Stack, files: tuple[Path, Path]) -> None:
    seen: list[Edit] = []
    submitted = service.submit(files[0], [files[1]], **PROMPTS, **QUICK, artifacts=["attention"])
    done = service.wait(submitted.id, seen.append)
    assert done.state == "succeeded", done.problem
    fractions = [edit.progress.fraction for edit in seen if edit.progress]
    assert fractions == sorted(fractions)
    assert done.attempt == 1
    assert done.measures is not None
    assert done.measures.words == (("yellow carpet",),)
    assert done.measures.unet_forward > 0
    assert_edited(service.result(done.id), done.measures.paste_margin_px)
    names = {each.name for each in done.artifacts}
    assert {"attention-before-0.png", "attention-after-0.png", "overview.png"} <= names
    Image.open(io.BytesIO(service.artifact(done.id, "overview.png"))).verify()

    store = ObjectStore.from_settings(s3_stack.settings)
    kept = store.keys(job_prefix("local", done.id))
    assert len(kept) == 2 + 1 + len(names)
    service.delete(done.id)
    assert store.keys(job_prefix("local", done.id)) == []


def test_cancel_one_and_the_next_still_runs(service: Client, files: tuple[Path, Path]) -> None:
    long = service.submit(files[0], [files[1]], **PROMPTS, **LONG)
    waiting = service.submit(files[0], [files[1]], **PROMPTS, **LONG)
    after = service.submit(files[0], [files[1]], **PROMPTS, **QUICK)
    running = next(edit for edit in service.watch(long.id) if edit.progress and edit.progress.fraction > 0)
    assert running.state == "running"
    assert service.get(waiting.id).queue_position == 0
    assert service.get(after.id).queue_position == 1
    assert service.cancel(waiting.id).state == "canceled"
    service.cancel(long.id)
    assert service.wait(long.id).state == "canceled"
    assert service.wait(after.id).state == "succeeded"
    with pytest.raises(ServiceError) as caught:
        service.result(long.id)
    assert caught.value.problem.status == 409
    listed = {edit.id: edit.state for edit in service.list().edits}
    assert {each: listed[each] for each in (long.id, waiting.id, after.id)} == {
        long.id: "canceled",
        waiting.id: "canceled",
        after.id: "succeeded",
    }


def test_a_refused_edit_is_not_kept(service: Client, files: tuple[Path, Path]) -> None:
    before = [edit.id for edit in service.list().edits]
    with pytest.raises(ServiceError) as caught:
        service.submit(files[0], [files[1]], **PROMPTS, words=["zebra"])
    assert caught.value.problem.code == "word_not_in_target_prompt"
    assert [edit.id for edit in service.list().edits] == before


@pytest.mark.parametrize("command", [("sh", EXAMPLES / "edit.sh"), (sys.executable, EXAMPLES / "edit.py")])
def test_the_examples_work(
    command: tuple[str, Path], s3_stack: Stack, files: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    fields = [f"{name}={value}" for name, value in QUICK.items()]
    arguments: list[str | Path] = [
        *command,
        s3_stack.url,
        *files,
        PROMPTS["source_prompt"],
        PROMPTS["target_prompt"],
        out,
        *fields,
    ]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with Image.open(out) as result:
        assert result.size == SIZE

    refused = subprocess.run([*arguments, "words=zebra"], capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "zebra" in refused.stderr


def test_the_command_line(s3_stack: Stack, files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out.webp"
    magedit = [sys.executable, "-m", "cli"]
    edit = ["edit", str(files[0]), str(files[1]), "--server", s3_stack.url, "--out", str(out)]
    prompts = ["--from", PROMPTS["source_prompt"], "--to", PROMPTS["target_prompt"]]
    options = ["--steps", "4", "--max-iterations", "1", "--output-format", "webp", "--words", "yellow"]
    environment = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(
        [*magedit, *edit, *prompts, *options], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with Image.open(out) as result:
        assert result.format == "WEBP"
    assert "yellow" in done.stdout
    assert "UNet" in done.stdout
    edit_id = done.stdout.split()[1]
    server = ["--server", s3_stack.url]
    said = {
        command: subprocess.run([*magedit, *command, *server], capture_output=True, text=True, check=False).stdout
        for command in (("show", edit_id), ("list",), ("cancel", edit_id))
    }
    assert "succeeded" in said["show", edit_id]
    assert edit_id in said["list",]
    assert "finished" in said["cancel", edit_id]
    for command, text in said.items():
        assert max(map(len, text.splitlines())) <= 80, command
    deleted = subprocess.run([*magedit, "delete", edit_id, *server], capture_output=True, text=True, check=True)
    assert "deleted" in deleted.stdout
    gone = subprocess.run([*magedit, "show", edit_id, *server], capture_output=True, text=True, check=False)
    assert gone.returncode == 1

    wrong = subprocess.run([*magedit, *edit, *prompts, "--words", "zebra"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    assert "zebra" in wrong.stdout
    assert "Traceback" not in wrong.stdout + wrong.stderr


def test_a_comparison(service: Client, files: tuple[Path, Path]) -> None:
    methods = ["mag-edit", "p2p", "blended-latent"]
    submitted = service.submit(files[0], [files[1]], **PROMPTS, **QUICK, compare=methods, artifacts=["attention"])
    done = service.wait(submitted.id)
    assert done.state == "succeeded", done.problem
    assert len(done.results) == len(methods)
    assert done.measures is not None
    results = [service.result(done.id, number) for number in range(len(methods))]
    assert len(set(results)) == len(methods)
    for result in results:
        assert_edited(result, done.measures.paste_margin_px)
    rows = json.loads(service.artifact(done.id, "comparison.json"))
    assert [row["method"] for row in rows] == methods
    assert [row["inversion_reused"] for row in rows] == [done.measures.inversion_reused, True, None]
    assert rows[0]["unet_backward"] > rows[1]["unet_backward"] == 0
    names = {each.name for each in done.artifacts}
    assert {"contact-sheet.png", "attention-after-0.png", "result-1-attention-before-0.png"} <= names
    Image.open(io.BytesIO(service.artifact(done.id, "contact-sheet.png"))).verify()


def test_a_chain_of_edits(s3_stack: Stack, service: Client, files: tuple[Path, Path], tmp_path: Path) -> None:
    first = service.wait(service.submit(files[0], [files[1]], **PROMPTS, **QUICK).id)
    target = "a room with a yellow striped carpet"
    second = service.wait(service.submit(None, [files[1]], target_prompt=target, source_edit=first.id, **QUICK).id)
    assert second.state == "succeeded", second.problem
    assert (second.source_edit, second.history) == (first.id, (first.id, second.id))
    assert second.measures is not None
    assert second.measures.words == (("striped carpet",),)
    assert_edited(service.result(second.id), second.measures.paste_margin_px)
    assert service.result(second.id) != service.result(first.id)

    # The copy outlives its source, and the shell goes on from there.
    service.delete(first.id)
    out = tmp_path / "third.png"
    options = ["--server", s3_stack.url, "--source-edit", second.id, "--to", "a room with a yellow striped sofa"]
    quick = ["--steps", "4", "--max-iterations", "1", "--out", str(out)]
    command = [sys.executable, "-m", "cli", "edit", str(files[1]), *options, *quick]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    third = service.get(done.stdout.split()[1])
    assert third.history == (first.id, second.id, third.id)
    assert out.read_bytes() == service.result(third.id)
    # Three edits in one mask: of the upload nothing else differs.
    assert outside_difference(room(), Image.open(out).convert("RGB"), carpet(), second.measures.paste_margin_px) == 0


def test_the_demo(s3_stack: Stack, tmp_path: Path) -> None:
    text = io.StringIO()
    console = Console(file=text, width=200)
    outcome = run_demo(s3_stack.url, "carpet", tmp_path / "pictures", console, **QUICK)
    report(outcome, console)
    assert outcome.outside == 0
    names = {file.name for file in outcome.files}
    assert names >= {"source.png", "mask.png", "result.png", "overview.png"}
    for name in names:
        if name.endswith(".png"):
            with Image.open(tmp_path / "pictures" / name) as picture:
                picture.load()
    for part in ("without guidance", "token", "spatial", "UNet", "outside the mask"):
        assert part in text.getvalue()
