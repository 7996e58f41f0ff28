// The edit that is shown: its progress, then its pictures, what they show, and what can be done with them.

import { json, picture } from "./api.js";
import { artifacts } from "./artifacts.js";
import { announce, byId, h } from "./dom.js";
import { show } from "./errors.js";
import { follow, isOver } from "./follow.js";
import * as keep from "./keep.js";
import { loadResult } from "./loading.js";
import { table } from "./measures.js";
import * as progress from "./progress.js";
import { compare } from "./slider.js";
import { emit, on, state } from "./state.js";

let watching = new AbortController();
let asked = 0; // how often something was to be shown: a late answer to an earlier wish is dropped
let drawn = 0; // the same for the results of an edit

/** Wire the address: `#edit=ID` shows an edit. */
export function setUp() {
  window.addEventListener("hashchange", fromAddress);
  on("key", () => {
    close();
    fromAddress();
  });
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
  byId("outcome").hidden = true;
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
  byId("outcome").hidden = false;
  byId("finished").replaceChildren();
  progress.hide();
  emit("opened", edit);
  if (isOver(edit)) finish(edit, signal, number);
  else run(edit, signal);
}

async function run(edit, signal) {
  heading(edit);
  progress.render(edit);
  const update = (changed) => {
    if (signal.aborted) return;
    state.edit = changed;
    emit("changed", changed ?? { ...edit, state: "deleted" });
    if (changed && !isOver(changed)) {
      progress.render(changed);
      return;
    }
    announce(changed ? `The edit has ${changed.state}` : "The edit was deleted");
    finish(changed, signal);
  };
  try {
    await follow(edit, update, progress.outage, signal);
  } catch (error) {
    show(error);
  }
}

function heading(edit) {
  byId("outcome-prompt").textContent = edit.request?.target_prompt ?? "";
}

async function finish(edit, signal, number = 0) {
  progress.hide();
  if (edit?.state !== "succeeded" || !edit.request) {
    if (edit) heading(edit);
    byId("finished").replaceChildren(progress.ending(edit));
    return;
  }
  heading(edit);
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
  const comparison = await compare(before, blob);
  if (signal.aborted || turn !== drawn) return;
  byId("finished").replaceChildren(
    chain(edit),
    h(
      "div",
      { class: "shown" },
      h("div", {}, comparison, several(edit, before, number, signal)),
      h("div", { class: "facts" }, warnings(edit), actions(edit, number), table(edit, number)),
    ),
    artifacts(edit, number),
  );
}

/** What may not be as hoped for, a sentence each. */
function warnings(edit) {
  if (!edit.warnings.length) return "";
  const told = edit.warnings.map(({ message }) => h("p", {}, message));
  return h("div", { class: "note", role: "note", "aria-label": "Worth knowing" }, ...told);
}

/** The picture that was edited: kept by this browser, or the result that was edited further; null: it is not to be
 * had. */
async function sourceOf(edit) {
  const kept = await keep.get(edit.id);
  if (kept || !edit.source_edit) return kept;
  try {
    return (await picture(`/v1/edits/${edit.source_edit}/result/${edit.source_result}`)).blob;
  } catch {
    return null;
  }
}

/** The results, if there are several, to choose from. */
function several(edit, before, number, signal) {
  if (edit.results.length < 2) return "";
  const buttons = edit.results.map((file, n) => {
    const image = h("img", { alt: "", width: 96, height: 96 });
    picture(file.href)
      .then(({ url }) => (image.src = url))
      .catch(() => {});
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
      image,
      h("span", {}, label(edit, n)),
    );
  });
  return h("div", { class: "row results", role: "group", "aria-label": "Results" }, ...buttons);
}

/** What tells a result from the edit's others. */
function label({ results, request: { config } }, n) {
  const { seed, strength } = results[n];
  const parts = [];
  if (config.sweep?.length) parts.push(`strength ${strength}`);
  if (config.n > 1) parts.push(`seed ${seed}`);
  return parts.join(", ") || `result ${n + 1}`;
}

function actions(edit, number) {
  const file = edit.results[number];
  const link = h("a", { class: "button", download: `${edit.id.slice(-6)}-${file.name}` }, "Download");
  picture(file.href).then(({ url }) => (link.href = url));
  const onward = h("button", { type: "button", class: "primary" }, "Use as source");
  onward.addEventListener("click", async () => {
    try {
      await loadResult(edit, number);
      byId("editor-title").focus();
    } catch (error) {
      show(error);
    }
  });
  return h("div", { class: "row" }, onward, link);
}

/** The edits that led here, each a link. */
function chain(edit) {
  if (edit.history.length < 2) return "";
  const links = edit.history.map((id, n) =>
    h(
      "li",
      {},
      id === edit.id
        ? h("span", { "aria-current": "true" }, `Edit ${n + 1} (this one)`)
        : h("a", { href: `#edit=${id}` }, `Edit ${n + 1}`),
    ),
  );
  return h("nav", { "aria-label": "The edits that led here" }, h("ol", { class: "chain" }, ...links));
}
