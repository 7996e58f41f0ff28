// The draft of this tab, kept through reload and crash. Each tab has its own, so that none overwrites another's.

import { byId, h } from "../shared/dom.js";
import { emit, on, state } from "../shared/state.js";
import { fromRecord, toRecord } from "../stage/document.js";
import { text } from "../strings.js";
import * as database from "./database.js";

const STORE = "drafts";
const TAB = "magedit-draft"; // in the tab's own storage: the key of its draft
const PAUSE_MS = 300;
const LOCK = "magedit-draft-";

let key = "";
let timer = 0;
let restoring = false;

/** Take up this tab's draft, or one that no tab has any more; offer the others. */
export async function setUp() {
  const own = sessionStorage.getItem(TAB);
  const held = await heldElsewhere();
  // A duplicated tab begins with the key of the tab that it was made from.
  key = own && !held.has(own) ? own : newKey();
  sessionStorage.setItem(TAB, key);
  hold();
  on("document", later);
  on("source", () => byId("drafts").replaceChildren());
  for (const kind of ["pagehide", "visibilitychange"]) window.addEventListener(kind, () => timer && save());
  const all = (await database.entries(STORE)).filter(([, draft]) => draft?.source);
  const mine = all.find(([each]) => each === (own ?? ""));
  const free = all.filter(([each]) => !held.has(each));
  if (state.source) return;
  if (mine) await take(mine[1]);
  else if (!held.size && free.length) await take(free.at(-1)[1]);
  else offer(all.toReversed().slice(0, 4));
}

/** Keys sort by time. */
function newKey() {
  return `${Date.now()}-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
}

/** The drafts that other tabs have open. Without https there are no locks: then none is known. */
async function heldElsewhere() {
  const { held = [] } = (await navigator.locks?.query()) ?? {};
  return new Set(held.filter(({ name }) => name.startsWith(LOCK)).map(({ name }) => name.slice(LOCK.length)));
}

/** Hold this tab's lock for as long as it lives. */
function hold() {
  navigator.locks?.request(LOCK + key, () => new Promise(() => {}));
}

async function take(draft) {
  restoring = true;
  try {
    await fromRecord(draft);
    emit("restored");
  } finally {
    restoring = false;
  }
  later();
}

function offer(all) {
  if (!all.length || state.source) return;
  const button = ([, draft]) => {
    const url = URL.createObjectURL(draft.source.blob);
    const image = h("img", { src: url, alt: "", width: 72, height: 72, onload: () => URL.revokeObjectURL(url) });
    const words = h("span", {}, draft.prompts.target || draft.source.name);
    return h("button", { type: "button", class: "preset", onclick: () => take(draft) }, image, words);
  };
  byId("drafts").replaceChildren(h("h3", {}, text.drafts.title), h("div", { class: "row" }, ...all.map(button)));
  byId("drafts").hidden = false;
}

function later() {
  if (restoring) return;
  clearTimeout(timer);
  timer = window.setTimeout(save, PAUSE_MS);
  document.body.dataset.draft = "changed";
}

async function save() {
  clearTimeout(timer);
  timer = 0;
  if (!state.source) return;
  await database.put(STORE, key, await toRecord());
  if (!timer) document.body.dataset.draft = "kept";
}
