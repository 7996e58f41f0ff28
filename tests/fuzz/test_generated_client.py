"""Clients that others' generators make from the contract: one in TypeScript compiles, one in Python runs an edit."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from cli.processes.stack import Stack
from jobs.settings import Settings
from magedit.demo.named import demo_edit
from service.openapi.__main__ import FILE

PACKAGES = ("openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3")

PROGRAM = """\
import createClient from "openapi-fetch";
import type { components, paths, webhooks } from "./contract";

const client = createClient<paths>({ baseUrl: "http://127.0.0.1:8000" });

export async function follow(edit_id: string): Promise<components["schemas"]["Edit"]["state"]> {
  const { data, error, response } = await client.GET("/v1/edits/{edit_id}", { params: { path: { edit_id } } });
  if (error) throw new Error(`${response.status} ${error.code}: ${error.detail}`);
  return data.state;
}

export async function listed(): Promise<string[]> {
  const { data } = await client.GET("/v1/edits", { params: { query: { state: "succeeded", limit: 5 } } });
  return (data?.edits ?? []).flatMap((edit) => edit.results.map((file) => file.href));
}

type Told = webhooks["edit.finished"]["post"]["requestBody"]["content"]["application/json"];
export const isGood = (told: Told): boolean => told.type === "edit.succeeded" && told.data.results.length > 0;

// @ts-expect-error: there is no such state
export const wrong: components["schemas"]["Edit"]["state"] = "lost";
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_typescript_client_compiles(tmp_path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm")
    install = [npm, "install", "--no-audit", "--no-fund", "--silent", *PACKAGES]
    done = subprocess.run(install, cwd=tmp_path, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"npm cannot install the generator: {done.stderr[-300:]}")
    tools = tmp_path / "node_modules" / ".bin"
    subprocess.run([tools / "openapi-typescript", FILE, "-o", "contract.d.ts"], cwd=tmp_path, check=True)
    (tmp_path / "program.ts").write_text(PROGRAM)
    options = ["--strict", "--noEmit", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler"]
    compiled = subprocess.run(
        [tools / "tsc", *options, "program.ts"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert compiled.returncode == 0, compiled.stdout


GENERATOR = "openapi-python-client==0.29.1"
"""In an environment of its own: it asks for an older Typer than the command line has."""

CONFIG = "content_type_overrides: {image/png: application/octet-stream}\n"
"""A picture is bytes to the generated client."""

PYTHON_PROGRAM = """\
import json
import sys
import time
from pathlib import Path

from client import Client
from client.api.edits import cancel_edit, create_edit, delete_edit, get_edit, list_edits
from client.api.models import list_models
from client.api.results import get_result
from client.models import Edit, EditForm, EditFormArtifactsItem, EditFormPreset, Problem, State
from client.types import File

url, source_prompt, target_prompt = sys.argv[1:]


def file(name):
    return File(payload=Path(name).open("rb"), file_name=name, mime_type="image/png")


with Client(base_url=url) as client:
    model = list_models.sync(client=client).models[0]
    form = EditForm(
        image=file("image.png"),
        mask=[file("mask.png")],
        source_prompt=source_prompt,
        target_prompt=target_prompt,
        preset=EditFormPreset.FAST,
        steps=2,
        artifacts=[EditFormArtifactsItem.TRACE],
    )
    edit = create_edit.sync(client=client, body=form, prefer="wait=60", idempotency_key="generated")
    assert isinstance(edit, Edit), edit
    while edit.state not in (State.SUCCEEDED, State.FAILED, State.CANCELED):
        time.sleep(0.2)
        edit = get_edit.sync(edit_id=edit.id, client=client)
        assert isinstance(edit, Edit), edit
    listed = list_edits.sync(client=client, state=State.SUCCEEDED)
    Path("result.png").write_bytes(get_result.sync(edit_id=edit.id, client=client).payload.read())
    refused = create_edit.sync(client=client, body=EditForm(mask=[file("mask.png")], target_prompt="a"))
    assert isinstance(refused, Problem), refused
    told = {
        "model": model.name,
        "state": edit.state,
        "words": edit.request.regions[0].words,
        "steps": edit.request.config.steps,
        "passes": edit.measures.unet_forward,
        "artifacts": [each.name for each in edit.artifacts],
        "listed": [each.id for each in listed.edits] == [edit.id],
        "refused": refused.code,
        "canceled": cancel_edit.sync(edit_id=edit.id, client=client).code,
        "deleted": delete_edit.sync_detailed(edit_id=edit.id, client=client).status_code,
    }
print(json.dumps(told))
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_generated_python_client_runs_an_edit(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    subprocess.run([sys.executable, "-m", "venv", tools], check=True)
    python = tools / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", GENERATOR]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pip cannot install the generator: {done.stderr[-300:]}")
    (tmp_path / "config.yaml").write_text(CONFIG)
    generate = [str(tools / "bin" / "openapi-python-client"), "generate", "--path", str(FILE), "--meta", "none"]
    made = subprocess.run(
        [*generate, "--output-path", "client", "--config", "config.yaml"],
        cwd=tmp_path,
        env={"PATH": str(tools / "bin")},
        capture_output=True,
        text=True,
        check=True,
    )
    # What it does not understand it leaves out with a warning.
    assert made.stdout.strip() == "Generating client"
    edit = demo_edit("carpet")
    edit.image().save(tmp_path / "image.png")
    edit.mask().save(tmp_path / "mask.png")
    (tmp_path / "program.py").write_text(PYTHON_PROGRAM)
    settings = Settings(api_port=0, state_dir=tmp_path / "state", device="cpu")
    with Stack(settings, workers=1, embedded=True) as stack:
        stack.wait_ready()
        run = [str(python), "program.py", stack.url, edit.source_prompt, edit.target_prompt]
        ran = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told.pop("passes") > 0
    assert told == {
        "model": "demo",
        "state": "succeeded",
        "words": ["yellow carpet"],
        "steps": 2,
        "artifacts": ["trace.json", "trace.png"],
        "listed": True,
        "refused": "invalid_request",
        "canceled": "already_finished",
        "deleted": 204,
    }
    with Image.open(tmp_path / "result.png") as result:
        assert result.size == edit.image().size
