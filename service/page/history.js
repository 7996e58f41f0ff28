// The list of recent edits; their thumbnails are fetched when they come into view.

import { json, picture } from "./api.js";
import { byId, h } from "./dom.js";
import { show } from "./errors.js";
import { visit } from "./result.js";
import { on, state } from "./state.js";

const PAGE = 12;

let cursor = null;
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
  on("submitted", (edit) => update(edit));
  on("changed", update);
  on("opened", mark);
  on("key", () => {
    byId("edits").replaceChildren();
    byId("older").hidden = true;
    load(append);
  });
  document.addEventListener("visibilitychange", () => document.hidden || load(merge));
  load(append);
}

/** Ask for the newest edits, or for those after a cursor, and `put` them into the list. */
async function load(put, from = null) {
  const turn = (asked += 1);
  try {
    const page = await json(`/v1/edits?limit=${PAGE}${from ? `&cursor=${from}` : ""}`);
    if (turn !== asked) return;
    put(page);
    byId("none").hidden = byId("edits").childElementCount > 0;
    byId("older").hidden = !cursor;
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
    if (await visit(edit.links.self)) byId("outcome-title").focus();
  };
  return h(
    "li",
    { "data-id": edit.id },
    h(
      "button",
      { type: "button", class: "entry", onclick },
      image,
      h(
        "span",
        { class: "what" },
        h("b", {}, words(edit)),
        h("span", { class: "prompt muted" }, edit.request?.target_prompt ?? ""),
        h("span", { class: `state ${edit.state}` }, edit.state),
        h("time", { datetime: time.toISOString(), class: "muted" }, time.toLocaleString()),
      ),
    ),
  );
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
  if (old?.querySelector(".state").textContent === edit.state) return;
  const changed = edit.state === "deleted" ? null : item(edit);
  if (old && changed) old.replaceWith(changed);
  else if (old) old.remove();
  else if (changed) byId("edits").prepend(changed);
  byId("none").hidden = byId("edits").childElementCount > 0;
  mark();
}

function mark() {
  for (const button of document.querySelectorAll("#edits button")) {
    const shown = button.parentElement.dataset.id === state.edit?.id;
    if (shown) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}
