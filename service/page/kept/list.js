// The list of recent edits: to open, to edit again, to name, to delete, to filter. Their thumbnails are fetched when
// they come into view.

import { goToStage, visit } from "../result/result.js";
import { call, json, picture } from "../shared/api.js";
import { byId, h, icon } from "../shared/dom.js";
import { show } from "../shared/errors.js";
import { emit, on, state } from "../shared/state.js";
import { text } from "../strings.js";
import { editAgain } from "./again.js";
import * as database from "./database.js";

const PAGE = 12;

let cursor = null;
let names = new Map(); // by id: what a person called an edit
let asked = 0; // how often, so that only the last answer counts

const lazy = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target: element } of entries) {
    const target = /** @type {HTMLImageElement} */ (element);
    if (!isIntersecting) continue;
    lazy.unobserve(target);
    picture(target.dataset.href)
      .then(({ url }) => (target.src = url))
      .catch(() => target.remove());
  }
});

/** Wire the list. */
export function setUp() {
  byId("older").addEventListener("click", () => load(append, cursor));
  const states = ["", "succeeded", "running", "queued", "failed", "canceled"];
  byId("find-state").replaceChildren(...states.map((value) => h("option", { value }, text.states[value || "any"])));
  byId("find-state").addEventListener("change", again);
  byId("find-edit").addEventListener("input", filter);
  on("submitted", (edit) => update(edit));
  on("changed", update);
  on("opened", mark);
  on("key", again);
  document.addEventListener("visibilitychange", () => document.hidden || load(merge));
  database.entries("names").then((all) => {
    names = new Map(all);
    load(append);
  });
}

/** Everything anew. */
function again() {
  byId("edits").replaceChildren();
  byId("older").hidden = true;
  load(append);
}

/** Ask for the newest edits, or for those after a cursor, and `put` them into the list. */
async function load(put, from = null) {
  const turn = (asked += 1);
  try {
    const wanted = byId("find-state").value;
    const query = new URLSearchParams({ limit: String(PAGE), ...(from && { cursor: from }), ...(wanted && { state: wanted }) });
    const page = await json(`/v1/edits?${query}`);
    if (turn !== asked) return;
    put(page);
    byId("older").hidden = !cursor;
    filter();
    mark();
  } catch (error) {
    if (turn === asked) show(error);
  }
}

const entry = (id) => byId("edits").querySelector(`[data-id="${id}"]`);

function append({ edits, next_cursor: next }) {
  byId("edits").append(...edits.filter(({ id }) => !entry(id)).map(item));
  cursor = next;
}

/** What is new and what has changed; the older ones that were asked for stay. */
function merge(page) {
  const ids = page.edits.map(({ id }) => id);
  if (!ids.some(entry)) {
    // Nothing of the list is as new as any of these: what lies between is not known.
    byId("edits").replaceChildren();
    append(page);
    return;
  }
  for (const { dataset } of /** @type {HTMLElement[]} */ ([...byId("edits").children])) {
    // Ids sort by the time of their making.
    if (!ids.includes(dataset.id) && (!page.next_cursor || dataset.id > ids.at(-1))) entry(dataset.id).remove();
  }
  for (const edit of page.edits.toReversed()) update(edit);
}

function item(edit) {
  const time = new Date(edit.timings.created_at);
  const [first] = edit.results;
  const image = first
    ? h("img", { alt: "", width: 72, height: 72, "data-href": first.href })
    : h("span", { class: "blank", "aria-hidden": "true" });
  if (first) lazy.observe(image);
  const onclick = async () => {
    if (await visit(edit.links.self)) goToStage();
  };
  return h(
    "li",
    { "data-id": edit.id, "data-state": edit.state, "data-words": [edit.request?.source_prompt, edit.request?.target_prompt].filter(Boolean).join(" ") },
    h(
      "button",
      { type: "button", class: "entry", onclick },
      image,
      h(
        "span",
        { class: "what" },
        h("b", {}, names.get(edit.id) ?? words(edit)),
        h("span", { class: "prompt muted" }, edit.request?.target_prompt ?? ""),
        h("span", { class: `state ${edit.state}` }, text.states[edit.state]),
        h("time", { datetime: time.toISOString(), class: "muted" }, time.toLocaleString()),
      ),
    ),
    h(
      "div",
      { class: "row tight doing" },
      edit.request && tool("rotate-ccw", text.result.again, () => takeUp(edit)),
      tool("pencil", text.recent.name, () => rename(edit)),
      tool("trash-2", text.recent.remove, () => sure(edit)),
    ),
  );
}

async function takeUp(edit) {
  try {
    await editAgain(edit);
    goToStage();
  } catch (error) {
    show(error);
  }
}

function tool(glyph, label, onclick) {
  const button = h("button", { type: "button", class: "quiet icon", "aria-label": label, title: label, onclick });
  button.append(icon(glyph));
  return button;
}

/** A field for the name in place of the buttons; an empty one takes the name away. */
function rename(edit) {
  const row = entry(edit.id).querySelector(".doing");
  const input = h("input", { type: "text", maxlength: 80, value: names.get(edit.id) ?? "", "aria-label": text.recent.name });
  const done = async (isKept) => {
    const name = input.value.trim();
    if (isKept && name) names.set(edit.id, name);
    else if (isKept) names.delete(edit.id);
    if (isKept) await (name ? database.put("names", edit.id, name) : database.remove("names", edit.id));
    replace(edit);
    entry(edit.id).querySelectorAll(".doing button")[1].focus();
  };
  input.addEventListener("keydown", ({ key }) => {
    if (key === "Enter") done(true);
    else if (key === "Escape") done(false);
  });
  row.replaceChildren(input, h("button", { type: "button", onclick: () => done(true) }, text.recent.save));
  input.focus();
}

/** Ask before an edit is deleted. */
function sure(edit) {
  const row = entry(edit.id).querySelector(".doing");
  const yes = h("button", { type: "button", class: "danger", onclick: () => remove(edit) }, text.recent.yes);
  const no = h("button", { type: "button", onclick: () => replace(edit) }, text.recent.no);
  row.replaceChildren(h("span", {}, text.recent.sure), yes, no);
  yes.focus();
}

async function remove(edit) {
  try {
    await call(edit.links.self, { method: "DELETE" });
    await Promise.all(["names", "inputs"].map((store) => database.remove(store, edit.id)));
    update({ ...edit, state: "deleted" });
    emit("deleted", edit.id);
    byId("recent-title").focus();
  } catch (error) {
    show(error);
    replace(edit);
  }
}

function replace(edit) {
  entry(edit.id).replaceWith(item(edit));
  filter();
  mark();
}

/** Show the edits whose name or words have what is looked for. */
function filter() {
  const wanted = byId("find-edit").value.trim().toLowerCase();
  let any = false;
  for (const element of /** @type {HTMLElement[]} */ ([...byId("edits").children])) {
    const words = `${names.get(element.dataset.id) ?? ""} ${element.dataset.words}`.toLowerCase();
    element.hidden = !words.includes(wanted);
    any ||= !element.hidden;
  }
  byId("none").hidden = any;
  byId("none").textContent = wanted || byId("find-state").value ? text.recent.noMatch : text.recent.none;
}

/** What was to change, in a few words. */
function words({ request, problem }) {
  if (!request) return problem.title;
  const { regions, target_prompt: prompt } = request;
  return regions.map((region) => region.words.join(", ")).filter(Boolean).join("; ") || prompt;
}

/** An edit is new or has changed its state. */
function update(edit) {
  const old = entry(edit.id);
  if (old?.dataset.state === edit.state) return;
  const changed = edit.state === "deleted" ? null : item(edit);
  if (old && changed) old.replaceWith(changed);
  else if (old) old.remove();
  else if (changed) byId("edits").prepend(changed);
  filter();
  mark();
}

function mark() {
  for (const button of document.querySelectorAll("#edits .entry")) {
    const shown = button.parentElement.dataset.id === state.edit?.id;
    if (shown) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}
