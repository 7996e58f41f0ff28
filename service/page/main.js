// The page's parts, put to work.

import { json, key, setKey } from "./api.js";
import * as canvas from "./canvas.js";
import * as code from "./code.js";
import { byId } from "./dom.js";
import { show } from "./errors.js";
import * as grid from "./grid.js";
import * as history from "./history.js";
import * as loading from "./loading.js";
import * as params from "./params.js";
import * as prompts from "./prompts.js";
import * as regions from "./regions.js";
import * as result from "./result.js";
import { emit, on, state } from "./state.js";
import * as submit from "./submit.js";
import * as toolbar from "./toolbar.js";

async function models() {
  try {
    const { default: name, models: all } = await json("/v1/models");
    state.models = new Map(all.map((model) => [model.name, model]));
    state.defaultModel = name;
    const model = state.models.get(name);
    byId("status").textContent = model?.ready ? `${name}, ${model.device}` : `no worker serves ${name} at present`;
    emit("models");
  } catch (error) {
    show(error);
  }
}

function keys() {
  on("key-needed", ({ detail }) => {
    const asked = byId("key");
    byId("key-why").textContent = key() ? detail : "This service asks for an API key.";
    if (!asked.hidden) return;
    asked.hidden = false;
    byId("key-value").focus();
  });
  byId("key").addEventListener("submit", (event) => {
    event.preventDefault();
    const value = byId("key-value").value.trim();
    byId("key-value").value = "";
    byId("key").hidden = true;
    setKey(value);
  });
  byId("key-forget").addEventListener("click", () => setKey(null));
  on("key", () => {
    byId("key-forget").hidden = !key();
    models();
  });
  byId("key-forget").hidden = !key();
}

keys();
for (const part of [canvas, toolbar, regions, prompts, submit, code, result, grid, history, loading]) part.setUp();
params.setUp().then(models, show);
