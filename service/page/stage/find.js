// Masks without painting: a click on a thing, or its words, where the served model finds things.

import { chosenModel } from "../ask/settings.js";
import { isOver } from "../result/follow.js";
import { ProblemError, call, json } from "../shared/api.js";
import { announce, byId } from "../shared/dom.js";
import { atField, clearField, plain } from "../shared/errors.js";
import { emit, on, state } from "../shared/state.js";
import { text } from "../strings.js";
import * as masks from "./masks.js";
import { tool } from "./tools.js";

const WAIT_S = 20; // that the service holds its answer for
const PAUSE_MS = 500; // between two looks at a mask that takes longer

let clicks = []; // [x, y, 1 or 0: it belongs to the thing, or does not]
let before = null; // the region as it was before the first of them
let found = []; // the candidates, the best one first
let shown = 0; // which of them is in the region
let asking = new AbortController();

/** Wire the tool, and what ends a selection that clicks go on with. */
export function setUp() {
  for (const topic of ["models", "tool", "view"]) on(topic, offer);
  byId("settings").addEventListener("change", offer);
  for (const topic of ["tool", "regions", "source", "undone"]) on(topic, forget);
  on("select", click);
  byId("find-words").addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    byWords();
  });
  byId("find").addEventListener("click", byWords);
  byId("find-other").addEventListener("click", () => show((shown + 1) % found.length));
}

const ways = () => chosenModel()?.finds_by ?? [];

function offer() {
  const isChosen = tool.name === "select";
  byId("select-tool").hidden = !ways().length;
  byId("find-bar").hidden = !isChosen || state.view !== "mask" || !state.source;
  byId("find-clicks").hidden = !ways().includes("points");
  byId("find-by-words").hidden = !ways().includes("words");
}

function forget() {
  clicks = [];
  found = [];
  before = null;
  asking.abort();
  byId("stage").classList.remove("busy");
  byId("find-other").hidden = true;
}

/** A click on a thing; the next ones say more of it, with Alt or by choice what does not belong to it. */
function click({ point: [x, y], isOutside }) {
  if (!ways().includes("points")) {
    atField("mask", text.find.byWordsAlone);
    byId("find-words").focus();
    return;
  }
  const { width, height } = masks.masks;
  if (x < 0 || y < 0 || x >= width || y >= height) return;
  const without = isOutside || document.querySelector("[name=find-kind]:checked").value === "0";
  if (without && !clicks.some(([, , label]) => label)) {
    atField("mask", text.find.first);
    return;
  }
  clicks.push([Math.floor(x), Math.floor(y), without ? 0 : 1]);
  ask({ points: JSON.stringify(clicks) });
}

function byWords() {
  const words = byId("find-words").value.trim();
  if (words) findByWords(words);
  else byId("find-words").focus();
}

/** Select what these words mean, where the model finds things by words. */
export function findByWords(words) {
  if (!ways().includes("words")) return;
  forget();
  ask({ words });
}

/** Ask for a mask; a later question takes the place of one that is under way. */
async function ask(meant) {
  document.querySelectorAll("[data-field=mask].invalid").forEach(clearField);
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  byId("stage").classList.add("busy");
  announce(text.find.asking);
  try {
    const mask = await finished(await send(meant, signal), signal);
    if (mask.state !== "succeeded") throw new ProblemError(mask.problem ?? { detail: text.states.failedEdit });
    if (signal.aborted) return;
    found = mask.candidates.map(({ rle }) => drawn(rle));
    show(0);
  } catch (error) {
    if (signal.aborted) return;
    clicks.pop();
    atField("mask", plain(error.problem ?? { detail: error.message }));
  } finally {
    if (!signal.aborted) byId("stage").classList.remove("busy");
  }
}

async function send(meant, signal) {
  const { source } = state;
  const body = new FormData();
  if (source.edit) {
    body.append("source_edit", source.edit);
    body.append("source_result", String(source.result));
  } else body.append("image", source.blob, "image.png");
  const { name } = chosenModel();
  for (const [field, value] of Object.entries({ model: name, ...meant })) body.append(field, value);
  const response = await call("/v1/masks", { method: "POST", body, signal, headers: { Prefer: `wait=${WAIT_S}` } });
  return response.json();
}

async function finished(mask, signal) {
  let now = mask;
  while (!isOver(now)) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    now = await json(now.links.self, { signal });
  }
  return now;
}

/** COCO's compressed run lengths, down each column in turn, as a picture: white where the mask is. */
function drawn({ counts, size: [height, width] }) {
  const runs = [];
  for (let at = 0; at < counts.length; ) {
    let value = 0;
    let shift = 0;
    let code = 0;
    do {
      code = counts.charCodeAt(at) - 48;
      value |= (code & 31) << shift;
      shift += 5;
      at += 1;
    } while (code & 32);
    if (code & 16) value |= -1 << shift;
    // From the third one on, what is told is the difference to the run before last.
    runs.push(runs.length > 2 ? value + runs.at(-2) : value);
  }
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  let place = 0;
  for (const [n, run] of runs.entries()) {
    for (const end = place + run; place < end; place += 1) {
      if (n % 2) pixels[(place % height) * width + Math.floor(place / height)] = 0xffffffff;
    }
  }
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Put a candidate into the region, with what was in it before. */
function show(number) {
  shown = number;
  const [keptClicks, keptFound] = [clicks, found];
  before ??= masks.copy();
  const base = before;
  masks.put(base, found[number]);
  // Painting tells the region's listeners; the selection goes on all the same.
  [clicks, found, before] = [keptClicks, keptFound, base];
  byId("find-other").hidden = found.length < 2;
  byId("find-other").textContent = text.find.other(number + 1, found.length);
  announce(text.find.found);
  emit("document");
}
