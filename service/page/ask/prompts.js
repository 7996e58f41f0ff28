// The two prompts, and how the service reads the second one.

import { json } from "../shared/api.js";
import { byId, h } from "../shared/dom.js";
import { atField } from "../shared/errors.js";
import { emit, on } from "../shared/state.js";
import { masks } from "../stage/masks.js";
import { text } from "../strings.js";
import { isInstructed, resolvable } from "./settings.js";
import { fields } from "./submit.js";

const PAUSE_MS = 250; // without a change, before the service is asked
const PROMPTS = /** @type {const} */ (["source_prompt", "target_prompt"]);
const MARKED = new Set(["prompt_not_supported", "word_not_in_target_prompt", "prompt_too_long"]); // told where they stand

let timer = 0;
let asked = new AbortController();

/** Wire the fields. */
export function setUp() {
  for (const id of PROMPTS) byId(id).addEventListener("input", preview);
  byId("settings").addEventListener("input", preview);
  byId("copy-prompt").addEventListener("click", () => {
    byId("target_prompt").value = byId("source_prompt").value;
    byId("target_prompt").focus();
    emit("note");
    preview();
  });
  on("prompts", ({ source, target }) => {
    byId("source_prompt").value = source;
    byId("target_prompt").value = target;
    preview();
  });
  for (const topic of ["words", "models", "settings"]) on(topic, preview);
}

function preview() {
  const instructed = isInstructed();
  document.querySelector("[data-field=source_prompt]").hidden = byId("copy-prompt").hidden = instructed;
  document.querySelector("[for=target_prompt]").textContent = instructed ? text.ask.instruction : text.ask.target;
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
  emit("reading", found);
  byId("reading").hidden = false;
  byId("reading-text").replaceChildren(...found.pieces.map(piece));
  for (const name of PROMPTS) {
    const { tokens = 0, max_tokens: most = 0 } = found.prompts[name] ?? {};
    if (tokens > most) atField(name, text.errors.tooLong(tokens, most));
  }
  const others = found.problems.filter(({ code, field }) => !MARKED.has(code) && field !== "source_prompt");
  const untold = found.is_guided ? others.filter(({ code }) => code !== "no_edit_words") : others;
  byId("reading-words").replaceChildren(
    ...(isNothingNew(found)
      ? [h("li", { class: "warn" }, nothingNew())]
      : masks.regions.flatMap((region, n) => (found.regions[n] ? line(region, n, found) : []))),
    ...untold.map(({ message }) => h("li", { class: "warn" }, message)),
    ...found.warnings.map((warning) => h("li", {}, text.warning(warning))),
  );
  byId("reading-facts").textContent = text.reading.facts(found.kind, Math.round(found.passes.whole));
}

/** A part of the prompt, marked where it is new, and where the model does not know it. */
function piece({ text: words, is_new: fresh, is_unknown: unknown }) {
  const part = unknown ? h("span", { class: "unknown", title: text.reading.unknown }, words) : words;
  return fresh && !isInstructed() ? h("mark", {}, part) : part;
}

/** What region `number` is about: its words, and whether they are guided. */
function line(region, number, { regions, is_guided: guided }) {
  const swatch = h("span", { class: "swatch" });
  swatch.style.background = region.colour;
  const { words } = regions[number];
  if (!words.length && guided) return h("li", { class: "warn" }, swatch, nothingNew());
  if (!words.length) return h("li", {}, swatch, text.reading.noWords);
  const several = masks.regions.length > 1;
  const list = words.flatMap(({ word, is_found: known }, n) => [
    n ? ", " : "",
    known ? h("b", {}, word) : h("span", { class: "warn" }, text.reading.notFound(word)),
  ]);
  return h("li", {}, swatch, text.reading.applied(guided, several ? number + 1 : 0), " ", ...list);
}

const isNothingNew = ({ regions, is_guided: guided }) =>
  guided && regions.length > 0 && regions.every(({ words }) => !words.length);

function nothingNew() {
  const [source, target] = PROMPTS.map((id) => byId(id).value.trim());
  return source === target ? text.reading.same : text.reading.nothingNew;
}
