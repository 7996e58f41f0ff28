// What kind an edit is and what follows for its words, as magedit.prompts.kinds has it; the service has the last word.

import { CONNECTORS, LETTER, addedPhrases, align, phrases, spans, texts } from "./words.js";

const FILLING = new Set(
  "wall floor ceiling ground grass lawn field sky sea water river lake sand beach snow road street pavement room background".split(" "),
);
const TOKEN = new RegExp(`${LETTER}+(?:['’-]${LETTER}+)*|[^\\s\\p{L}\\p{N}_]`, "gu");

/** Where the target differs from the source: words before and after, and the shared word that follows. */
function changes(source, target) {
  const [before, after] = [words(source), words(target)];
  const pairs = align(before, after).map((k, n) => [k, n]).filter(([k]) => k >= 0);
  const found = [];
  let [k, n] = [0, 0];
  for (const [nextK, nextN] of [...pairs, [before.length, after.length]]) {
    const change = { before: before.slice(k, nextK), after: after.slice(n, nextN), following: after[nextN] };
    if (change.before.length || change.after.length) found.push(change);
    [k, n] = [nextK + 1, nextN + 1];
  }
  return found;
}

/** The kind of edit that leads from one prompt to the other. */
export function kindOf(source, target) {
  const kinds = new Set(changes(source, target).map(kind));
  return ["replacement", "addition", "removal"].find((each) => kinds.has(each)) ?? "attribute";
}

function kind({ before, after, following }) {
  const isContent = following !== undefined && !CONNECTORS.has(following);
  if (before.length && after.length) return isContent ? "attribute" : "replacement";
  const phrase = before.length ? before : after;
  if (isContent && !phrase.some((word) => CONNECTORS.has(word))) return "attribute";
  return before.length ? "removal" : "addition";
}

/** The phrases of the target for what can fill a thing's place. */
export function fillingWords(target) {
  const all = words(target);
  const found = new Set();
  for (const [end, word] of all.entries()) {
    if (!FILLING.has(word)) continue;
    let start = end;
    while (start > 0 && !CONNECTORS.has(all[start - 1]) && !FILLING.has(all[start - 1])) start -= 1;
    found.add(all.slice(start, end + 1).join(" "));
  }
  return [...found];
}

/** The words that a region without words gets: what is added; where words are only left out, what fills the place. */
export function defaultWords(source, target) {
  const all = changes(source, target);
  // Conjunctions and articles alone are no thing that vanishes.
  const vanishes = all.some(({ before }) => before.some((word) => !CONNECTORS.has(word)));
  const isRemoval = vanishes && !all.some(({ after }) => after.length);
  const filling = isRemoval ? fillingWords(target) : [];
  return filling.length ? filling : addedPhrases(source, target);
}

/** Whether the edit is guided, so that words are needed. `setting` gives a parameter's text, "" for what the service
 * decides; `hasWords`: some are given. */
export function isGuided(setting, source, target, hasWords) {
  const zero = (name) => setting(name) !== "" && Number(setting(name)) === 0;
  if ((setting("method") || "mag-edit") !== "mag-edit" || zero("max_iterations") || zero("guided_fraction")) return false;
  const sweep = phrases(setting("sweep"));
  if (sweep.length) return sweep.some((strength) => Number(strength) > 0);
  if (setting("strength")) return !zero("strength");
  if (kindFor(setting, source, target) !== "removal" || setting("injection") === "pnp") return true;
  // A removal that names nothing that could fill the place is left to its negative prompt.
  const isAdded = changes(source, target).some(({ after }) => after.length);
  return hasWords || isAdded || fillingWords(target).length > 0;
}

function kindFor(setting, source, target) {
  const given = setting("kind") || "auto";
  if (given !== "auto") return given;
  return setting("preset") === "exact" ? "attribute" : kindOf(source, target);
}

function words(prompt) {
  return texts(prompt, spans(prompt, TOKEN));
}
