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

const AGAIN_S = 10; // until a worker serves the model

let timer = 0;
let known = "";

/** Ask for the models; again and again while nobody serves the default one. */
async function models() {
  clearTimeout(timer);
  try {
    const { default: name, models: all } = await json("/v1/models");
    if (!state.methods.size) {
      const { methods } = await json("/v1/methods");
      state.methods = new Map(methods.map((method) => [method.name, method]));
    }
    state.models = new Map(all.map((model) => [model.name, model]));
    state.defaultModel = name;
    const model = state.models.get(name);
    if (!model?.ready) timer = setTimeout(models, AGAIN_S * 1000);
    byId("status").textContent = model?.ready ? `${name}, ${model.device}` : `no worker serves ${name} at present`;
    // How busy they are is nothing that the form depends on.
    const now = JSON.stringify([name, ...all.map(({ queued, step_seconds, workers, ...rest }) => rest)]);
    if (now !== known) emit("models");
    known = now;
  } catch (error) {
    // Who asks again in the background need not be told of every failure.
    if (!known) show(error);
    else if (error.problem?.status !== 401) timer = setTimeout(models, AGAIN_S * 1000);
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
document.addEventListener("visibilitychange", () => document.hidden || models());
for (const part of [canvas, toolbar, regions, prompts, submit, code, result, grid, history, loading]) part.setUp();
params.setUp().then(models, show);
