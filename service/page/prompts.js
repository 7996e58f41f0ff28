// The two prompts, and how the service reads the second one.

import { json } from "./api.js";
import { byId, h } from "./dom.js";
import { masks } from "./masks.js";
import { isInstructed, resolvable } from "./params.js";
import { on } from "./state.js";
import { fields } from "./submit.js";

const PAUSE_MS = 250; // without a change, before the service is asked
const MARKED = new Set(["prompt_not_supported", "word_not_in_target_prompt"]); // told where they stand

let timer = 0;
let asked = new AbortController();

/** Wire the fields. */
export function setUp() {
  for (const id of ["source_prompt", "target_prompt"]) byId(id).addEventListener("input", preview);
  byId("settings").addEventListener("input", preview);
  byId("copy-prompt").addEventListener("click", () => {
    byId("target_prompt").value = byId("source_prompt").value;
    byId("target_prompt").focus();
    preview();
  });
  on("prompts", ({ source, target }) => {
    byId("source_prompt").value = source;
    byId("target_prompt").value = target;
    preview();
  });
  on("words", preview);
  on("models", preview);
}

function preview() {
  const instructed = isInstructed();
  document.querySelector("[data-field=source_prompt]").hidden = byId("copy-prompt").hidden = instructed;
  document.querySelector("[for=target_prompt]").textContent = instructed ? "Instruction" : "It shall show";
  clearTimeout(timer);
  asked.abort();
  if (byId("target_prompt").value.trim()) timer = setTimeout(read, PAUSE_MS);
  else byId("reading").hidden = true;
}

/** Ask the service how it reads the form as it is. */
async function read() {
  if (!resolvable("target_prompt")) return; // the contract is still to come
  asked = new AbortController();
  const { signal } = asked;
  const body = new FormData();
  for (const [name, value] of fields()) if (resolvable(name)) body.append(name, value);
  if (masks.regions.length) body.append("masks", String(masks.regions.length));
  try {
    render(await json("/v1/edits/resolve", { method: "POST", body, signal }));
  } catch {
    if (signal.aborted) return;
    // What cannot be read is told at its field when it is sent.
    byId("reading").hidden = true;
  }
}

function render(found) {
  byId("reading").hidden = false;
  byId("reading-text").replaceChildren(...found.pieces.map(piece));
  const others = found.problems.filter(({ code, field }) => !MARKED.has(code) && field !== "source_prompt");
  const untold = found.is_guided ? others.filter(({ code }) => code !== "no_edit_words") : others;
  byId("reading-words").replaceChildren(
    ...masks.regions.flatMap((region, n) => (found.regions[n] ? line(region, n, found) : [])),
    ...untold.map(({ message }) => h("li", { class: "warn" }, message)),
    ...found.warnings.map(({ message }) => h("li", {}, message)),
  );
  byId("reading-facts").textContent = `Kind: ${found.kind}. About ${Math.round(found.passes.whole)} UNet passes.`;
}

/** A part of the prompt, marked where it is new, and where the model does not know it. */
function piece({ text, is_new: fresh, is_unknown: unknown }) {
  const part = unknown ? h("span", { class: "unknown", title: "The model does not know this word" }, text) : text;
  return fresh && !isInstructed() ? h("mark", {}, part) : part;
}

/** What region `number` is about: its words, and whether they are guided. */
function line(region, number, { regions, is_guided: guided }) {
  const swatch = h("span", { class: "swatch" });
  swatch.style.background = region.colour;
  const { words } = regions[number];
  if (!words.length && guided) {
    return h("li", { class: "warn" }, swatch, "No word is new: change the prompt, or name the words.");
  }
  if (!words.length) return h("li", {}, swatch, "No words are needed: nothing is guided.");
  const verb = guided ? "guides " : "has the words ";
  const several = masks.regions.length > 1 ? `Region ${number + 1} ${verb}` : guided ? "Guided: " : "Words, not guided: ";
  const list = words.flatMap(({ word, is_found: known }, n) => [
    n ? ", " : "",
    known ? h("b", {}, word) : h("span", { class: "warn" }, `${word} (not in the target prompt)`),
  ]);
  return h("li", {}, swatch, several, ...list);
}
