// The two prompts, and how the service will read the second one.

import { byId, h } from "./dom.js";
import { masks } from "./masks.js";
import { chosenModel, isInstructed, setting } from "./params.js";
import { on } from "./state.js";
import { findWord, newSpans, phrases, wholeWords } from "./words.js";

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
  const [source, target] = [byId("source_prompt").value, byId("target_prompt").value];
  const box = byId("reading");
  box.hidden = !target.trim();
  if (box.hidden) return;
  byId("reading-text").replaceChildren(...marked(target, instructed ? [] : newSpans(source, target)));
  const given = masks.regions.map(({ words }) => phrases(words));
  const guided = !instructed && isGuided();
  const changes = source.trim() !== target.trim();
  byId("reading-words").replaceChildren(...given.map((words, n) => line(n, words, guided, changes, target)));
}

/** Whether the settings ask for guidance, so that words count. */
function isGuided() {
  const zero = (name) => setting(name) !== "" && Number(setting(name)) === 0;
  if ((setting("method") || "mag-edit") !== "mag-edit" || zero("max_iterations") || zero("guided_fraction")) return false;
  const sweep = phrases(setting("sweep"));
  return sweep.length ? sweep.some((strength) => Number(strength) > 0) : !zero("strength");
}

/** The prompt with what is new in it, and what the model does not know. */
function marked(prompt, fresh) {
  const vocabulary = chosenModel()?.vocabulary;
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

/** What region `number` is about: its words, and whether they are guided; without any what the service reads. */
function line(number, words, guided, changes, target) {
  const swatch = h("span", { class: "swatch" });
  swatch.style.background = masks.regions[number].colour;
  if (!words.length && guided && !changes) {
    return h("li", { class: "warn" }, swatch, "No word is new: change the prompt, or name the words.");
  }
  if (!words.length && guided) {
    return h("li", {}, swatch, "Guided: what changes between the prompts; the accepted edit names the words.");
  }
  if (!words.length) return h("li", {}, swatch, "No words are needed: nothing is guided.");
  const verb = guided ? "guides " : "has the words ";
  const several = masks.regions.length > 1 ? `Region ${number + 1} ${verb}` : guided ? "Guided: " : "Words, not guided: ";
  const list = words.flatMap((word, n) => [
    n ? ", " : "",
    findWord(target, word).length
      ? h("b", {}, word)
      : h("span", { class: "warn" }, `${word} (not in the target prompt)`),
  ]);
  return h("li", {}, swatch, several, ...list);
}
