// The page's parts, put to work.

import * as code from "./ask/code.js";
import * as instruction from "./ask/instruction.js";
import * as prompts from "./ask/prompts.js";
import * as recipes from "./ask/recipes.js";
import * as regions from "./ask/regions.js";
import * as settings from "./ask/settings.js";
import * as submit from "./ask/submit.js";
import * as drafts from "./kept/drafts.js";
import * as list from "./kept/list.js";
import * as comparison from "./result/comparison.js";
import * as result from "./result/result.js";
import { json, key, setKey } from "./shared/api.js";
import { byId, localise } from "./shared/dom.js";
import { show } from "./shared/errors.js";
import { emit, on, state } from "./shared/state.js";
import * as edited from "./stage/document.js";
import * as find from "./stage/find.js";
import * as outline from "./stage/outline.js";
import * as pointer from "./stage/pointer.js";
import * as purpose from "./stage/purpose.js";
import * as source from "./stage/source.js";
import * as toolbar from "./stage/toolbar.js";
import * as view from "./stage/view.js";
import { text } from "./strings.js";

const AGAIN_S = 10; // until a worker serves the model

let timer = 0;
let known = "";

/** Ask for the models; again and again while nobody serves the default one. */
async function models() {
  clearTimeout(timer);
  try {
    const { default: name, models: all } = await json("/v1/models");
    if (!state.methods.size) {
      const { methods, inversions } = await json("/v1/methods");
      state.methods = new Map(methods.map((method) => [method.name, method]));
      state.inversions = new Map(inversions.map((inversion) => [inversion.name, inversion]));
    }
    state.models = new Map(all.map((model) => [model.name, model]));
    state.defaultModel = name;
    const model = state.models.get(name);
    if (!model?.ready) timer = window.setTimeout(models, AGAIN_S * 1000);
    byId("status").textContent = model?.ready ? text.model.ready(name, model.device) : text.model.none(name);
    byId("status").classList.toggle("warn", !model?.ready);
    // How busy they are is nothing that the form depends on.
    const now = JSON.stringify([name, ...all.map(({ queued, step_seconds, workers, ...rest }) => rest)]);
    if (now !== known) emit("models");
    known = now;
  } catch (error) {
    // Who asks again in the background need not be told of every failure.
    if (!known) show(error);
    else if (error.problem?.status !== 401) timer = window.setTimeout(models, AGAIN_S * 1000);
  }
}

function keys() {
  on("key-needed", ({ detail }) => {
    const asked = byId("key");
    byId("key-why").textContent = key() ? detail : text.key.why;
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

async function start() {
  localise();
  keys();
  document.addEventListener("visibilitychange", () => document.hidden || models());
  for (const part of [view, pointer, outline, toolbar, find, purpose, edited, regions, prompts, submit, code]) part.setUp();
  for (const part of [instruction, result, comparison, list, source, recipes]) part.setUp();
  try {
    await settings.setUp();
    await drafts.setUp();
  } catch (error) {
    show(error);
  }
  await models();
}

start();
