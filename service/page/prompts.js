// The two prompts, and how the service will read the second one.

import { byId, h } from "./dom.js";
import { masks } from "./masks.js";
import { on, state } from "./state.js";
import { findWord, newSpans, newWords, phrases, wholeWords } from "./words.js";

/** Wire the fields. */
export function setUp() {
  for (const id of ["source_prompt", "target_prompt"]) byId(id).addEventListener("input", preview);
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
  const [source, target] = [byId("source_prompt").value, byId("target_prompt").value];
  const box = byId("reading");
  box.hidden = !target.trim();
  if (box.hidden) return;
  byId("reading-text").replaceChildren(...marked(target, newSpans(source, target)));
  byId("reading-words").replaceChildren(...masks.regions.map((region, n) => line(region, n, source, target)));
}

/** The prompt with what is new in it, and what the model does not know. */
function marked(prompt, fresh) {
  const vocabulary = state.models.get(state.defaultModel)?.vocabulary;
  const known = vocabulary && new Set(vocabulary);
  const parts = [];
  let at = 0;
  for (const [start, end] of wholeWords(prompt)) {
    const word = prompt.slice(start, end);
    parts.push(prompt.slice(at, start));
    const unknown = known && !known.has(word.toLowerCase());
    let part = word;
    if (unknown) part = h("span", { class: "unknown", title: "The model does not know this word" }, part);
    if (fresh.some(([from]) => from === start)) part = h("mark", {}, part);
    parts.push(part);
    at = end;
  }
  return [...parts, prompt.slice(at)];
}

function line(region, number, source, target) {
  const given = phrases(region.words);
  const swatch = h("span", { class: "swatch" });
  swatch.style.background = region.colour;
  const several = masks.regions.length > 1 ? `Region ${number + 1} guides ` : "Guided: ";
  const words = given.length ? given : newWords(source, target);
  if (!words.length) {
    return h("li", { class: "warn" }, swatch, "No word is new: change the prompt, or name the words.");
  }
  const list = words.flatMap((word, n) => [
    n ? ", " : "",
    findWord(target, word).length
      ? h("b", {}, word)
      : h("span", { class: "warn" }, `${word} (not in the target prompt)`),
  ]);
  return h("li", {}, swatch, several, ...list);
}
