// The edit that is shown: its progress, then its pictures, what they show, and what can be done with them.

import { json, picture } from "../shared/api.js";
import { announce, byId, h, icon, save } from "../shared/dom.js";
import { show } from "../shared/errors.js";
import { emit, on, state } from "../shared/state.js";
import * as database from "../kept/database.js";
import { editAgain } from "../kept/again.js";
import { loadResult } from "../stage/source.js";
import { drawing } from "../stage/tools.js";
import { text } from "../strings.js";
import { downloadZip } from "../vendor/client-zip.js";
import { artifacts } from "./artifacts.js";
import { follow, isOver } from "./follow.js";
import { bars, table } from "./measures.js";
import * as progress from "./progress.js";
import * as stage from "./stage.js";

const GRAVE = new Set(["poor_reconstruction", "safety"]); // warnings of a result that is hardly of use

let watching = new AbortController();
let asked = 0; // how often something was to be shown: a late answer to an earlier wish is dropped
let drawn = 0; // the same for the results of an edit

/** Wire the address: `#edit=ID` shows an edit. */
export function setUp() {
  stage.setUp();
  window.addEventListener("hashchange", fromAddress);
  on("key", () => {
    close();
    fromAddress();
  });
  on("deleted", (id) => id === state.edit?.id && close());
  fromAddress();
}

function fromAddress() {
  const id = /^#edit=([0-9a-f]{32})$/.exec(location.hash)?.[1];
  if (id && id !== state.edit?.id) visit(`/v1/edits/${id}`);
}

/** Show the edit at `path`; false if it is not to be had, or something else was to be shown meanwhile. */
export async function visit(path) {
  const turn = (asked += 1);
  try {
    const edit = await json(path);
    if (turn !== asked) return false;
    open(edit);
    return true;
  } catch (error) {
    if (turn === asked) show(error);
    return false;
  }
}

/** Show no edit. */
function close() {
  asked += 1;
  watching.abort();
  state.edit = null;
  clear();
  stage.withdraw();
}

function clear() {
  byId("details").hidden = true;
  byId("finished").replaceChildren();
  progress.hide();
}

/** Show result `number` of an edit, and follow the edit to its end. */
export function open(edit, number = 0) {
  asked += 1;
  watching.abort();
  watching = new AbortController();
  const { signal } = watching;
  state.edit = edit;
  const address = `#edit=${edit.id}`;
  // The address of a comparison that this edit belongs to stays: it leads to it, too.
  if (!location.hash.includes(edit.id)) history.replaceState(null, "", address);
  clear();
  byId("work").hidden = false;
  emit("opened", edit);
  if (isOver(edit)) finish(edit, signal, number);
  else run(edit, signal);
}

/** The stage and its title, in view and in focus. */
export function goToStage() {
  byId("editor-title").focus({ preventScroll: true });
  byId("editor").scrollIntoView({ block: "start" });
}

async function run(edit, signal) {
  progress.render(edit);
  const update = (changed) => {
    if (signal.aborted) return;
    state.edit = changed;
    emit("changed", changed ?? { ...edit, state: "deleted" });
    if (changed && !isOver(changed)) {
      progress.render(changed);
      return;
    }
    announce(changed ? text.states.told[changed.state] : text.states.gone);
    finish(changed, signal);
  };
  try {
    await follow(edit, update, progress.outage, signal, await previews(edit, signal));
  } catch (error) {
    show(error);
  }
}

/** What shows each preview of a running edit where its result will be. */
async function previews(edit, signal) {
  const before = await sourceOf(edit);
  // Another edit may have been opened meanwhile.
  if (!signal.aborted) byId("result-actions").replaceChildren();
  let isFirst = true;
  return async ({ image, step, steps }) => {
    if (signal.aborted || isOver(state.edit ?? {}) || drawing()) return;
    const told = text.result.preview(step, steps);
    if (isFirst) await stage.present(before, image, told);
    else stage.renew(image, told);
    isFirst = false;
  };
}

async function finish(edit, signal, number = 0) {
  progress.hide();
  if (edit?.state !== "succeeded" || !edit.request) {
    stage.withdraw();
    byId("work").hidden = false;
    byId("finished").replaceChildren(progress.ending(edit), edit?.request ? again(edit) : "");
    return;
  }
  try {
    const before = await sourceOf(edit);
    if (!signal.aborted) await draw(edit, before, Math.min(number, edit.results.length - 1), signal);
  } catch (error) {
    if (!signal.aborted) show(error);
  }
}

async function draw(edit, before, number, signal) {
  const turn = (drawn += 1);
  const { blob } = await picture(edit.results[number].href);
  if (signal.aborted || turn !== drawn) return;
  // Who paints on meanwhile is not interrupted.
  if (drawing()) emit("settle");
  await stage.present(before, blob);
  if (signal.aborted || turn !== drawn) return;
  actions(edit, number, blob);
  byId("finished").replaceChildren(
    warnings(edit),
    several(edit, before, number, signal),
    await chain(edit),
  );
  byId("details").hidden = false;
  byId("measures").replaceChildren(table(edit, number));
  byId("artifacts").replaceChildren(artifacts(edit, number));
}

/** What may not be as hoped for, a sentence each. */
function warnings(edit) {
  if (!edit.warnings.length) return "";
  const told = edit.warnings.map((warning) => h("p", {}, text.warning(warning)));
  const isGrave = edit.warnings.some(({ code }) => GRAVE.has(code));
  const look = isGrave ? "note bad" : "note";
  return h("div", { class: look, role: "note", "aria-label": text.result.warnings }, ...told);
}

/** The picture that was edited: kept by this browser, or the result that was edited further; null: it is not to be
 * had. */
async function sourceOf(edit) {
  const kept = await database.sentPicture(edit.id);
  if (kept || !edit.source_edit) return kept;
  try {
    return (await picture(`/v1/edits/${edit.source_edit}/result/${edit.source_result}`)).blob;
  } catch {
    return null;
  }
}

/** The results, if there are several, to choose from, each with its ratios as bars. */
function several(edit, before, number, signal) {
  if (edit.results.length < 2) return "";
  const buttons = edit.results.map((file, n) => {
    const pick = async () => {
      try {
        await draw(edit, before, n, signal);
        byId("finished").querySelector(".results [aria-pressed=true]").focus();
      } catch (error) {
        show(error);
      }
    };
    return h(
      "button",
      { type: "button", class: "preset", "aria-pressed": String(n === number), onclick: pick },
      thumbnail(file.href, 96),
      h("span", {}, label(edit, n)),
      bars(edit, n),
    );
  });
  const hint = edit.measures?.after.length ? h("p", { class: "hint" }, text.result.bars) : "";
  return h("div", { role: "group", "aria-label": text.result.several }, h("div", { class: "results" }, ...buttons), hint);
}

function thumbnail(href, size) {
  const image = h("img", { alt: "", width: size, height: size });
  picture(href)
    .then(({ url }) => (image.src = url))
    .catch(() => {});
  return image;
}

/** What tells a result from the edit's others. */
function label({ results, request: { config } }, n) {
  const { seed, strength } = results[n];
  const parts = [];
  if (config.sweep?.length) parts.push(text.result.strength(strength));
  if (config.n > 1) parts.push(text.result.seed(seed));
  return parts.join(", ") || text.result.number(n + 1);
}

function actions(edit, number, blob) {
  const file = edit.results[number];
  const name = (each) => `${edit.id.slice(-6)}-${each.name}`;
  const all = edit.results.length > 1 && button("download", text.result.downloadAll, () => downloadAll(edit, name));
  byId("result-actions").replaceChildren(
    button("arrow-right", text.result.further, () => loadResult(edit, number), "primary"),
    again(edit),
    button("copy", text.result.copy, () => copy(blob)),
    button("download", text.result.download, () => save(blob, name(file))),
    all || "",
  );
}

/** Everything of this edit back in the editor. */
function again(edit) {
  return button("rotate-ccw", text.result.again, () => editAgain(edit));
}

function button(glyph, label, work, look = "") {
  const onclick = async () => {
    try {
      await work();
    } catch (error) {
      show(error);
    }
  };
  return h("button", { type: "button", class: look, onclick }, icon(glyph), label);
}

async function copy(blob) {
  try {
    // Browsers take PNG alone.
    const png = blob.type === "image/png" ? blob : await asPng(blob);
    await navigator.clipboard.write([new ClipboardItem({ "image/png": png })]);
    announce(text.copied);
    byId("finished").querySelector(".copied")?.remove();
    byId("finished").prepend(h("p", { class: "copied muted" }, text.result.copied));
  } catch {
    byId("finished").prepend(h("p", { class: "copied warn" }, text.result.noClipboard));
  }
}

async function asPng(blob) {
  const bitmap = await createImageBitmap(blob);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

async function downloadAll(edit, name) {
  const files = [];
  for (const file of edit.results) files.push({ name: name(file), input: (await picture(file.href)).blob });
  save(await downloadZip(files).blob(), `${edit.id.slice(-6)}.zip`);
}

/** The edits that led here as a strip of pictures, each a way back. */
async function chain(edit) {
  if (edit.history.length < 2) return "";
  const step = async (id, n) => {
    const isThis = id === edit.id;
    const found = isThis ? edit : await json(`/v1/edits/${id}`).catch(() => null);
    const words = text.result.step(n + 1, isThis);
    const [first] = found?.results ?? [];
    const image = first ? thumbnail(first.href, 56) : h("span", { class: "blank" });
    const inner = [image, h("span", {}, words)];
    return h("li", {}, isThis ? h("span", { class: "step", "aria-current": "true" }, inner) : h("a", { class: "step", href: `#edit=${id}` }, inner));
  };
  const steps = await Promise.all(edit.history.map(step));
  return h("nav", { "aria-label": text.result.chain }, h("ol", { class: "chain" }, ...steps));
}
