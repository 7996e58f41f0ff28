// The list of recent edits; their thumbnails are fetched when they come into view.

import { json, picture } from "./api.js";
import { byId, h } from "./dom.js";
import { show } from "./errors.js";
import { open } from "./result.js";
import { on, state } from "./state.js";

const PAGE = 12;

let cursor = null;

const lazy = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    lazy.unobserve(target);
    picture(target.dataset.href)
      .then(({ url }) => (target.src = url))
      .catch(() => target.remove());
  }
});

/** Wire the list. */
export function setUp() {
  byId("older").addEventListener("click", () => load(cursor));
  on("submitted", (edit) => update(edit));
  on("changed", update);
  on("opened", mark);
  on("key", () => load());
  document.addEventListener("visibilitychange", () => document.hidden || load());
  load();
}

async function load(from = null) {
  try {
    const page = await json(`/v1/edits?limit=${PAGE}${from ? `&cursor=${from}` : ""}`);
    if (!from) byId("edits").replaceChildren();
    byId("edits").append(...page.edits.map(item));
    byId("none").hidden = byId("edits").childElementCount > 0;
    cursor = page.next_cursor;
    byId("older").hidden = !cursor;
    mark();
  } catch (error) {
    show(error);
  }
}

function item(edit) {
  const time = new Date(edit.timings.created_at);
  const [first] = edit.results;
  const image = first
    ? h("img", { alt: "", width: 72, height: 72, "data-href": first.href })
    : h("span", { class: "blank", "aria-hidden": "true" });
  if (first) lazy.observe(image);
  const onclick = async () => {
    try {
      open(await json(edit.links.self));
      byId("outcome-title").focus();
    } catch (error) {
      show(error);
    }
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
        h("span", { class: "prompt muted" }, edit.request.target_prompt),
        h("span", { class: `state ${edit.state}` }, edit.state),
        h("time", { datetime: time.toISOString(), class: "muted" }, time.toLocaleString()),
      ),
    ),
  );
}

/** What was to change, in a few words. */
function words({ request: { regions, target_prompt: prompt } }) {
  return regions.map((region) => region.words.join(", ")).filter(Boolean).join("; ") || prompt;
}

/** An edit is new or has changed its state. */
function update(edit) {
  const old = byId("edits").querySelector(`[data-id="${edit.id}"]`);
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
