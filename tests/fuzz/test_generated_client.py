"""A client in another language, generated from the contract by somebody else's generator, compiles."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

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
