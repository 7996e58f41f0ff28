// Tools, size, undo, and what can be done to the mask at once; also by key while the focus is in the editor.

import * as canvas from "./canvas.js";
import { announce, byId } from "./dom.js";
import { atField } from "./errors.js";
import { decode } from "./loading.js";
import * as masks from "./masks.js";
import { on, state } from "./state.js";
import { choose, setSize, tool } from "./tools.js";

const TOOLS = { b: "brush", e: "eraser", r: "box", p: "polygon", m: "move" };
// On many keyboards the brackets need AltGr or Option; comma and full stop do not.
const SMALLER = "[,";
const LARGER = "].";
const GROW = 1.25;

/** Wire buttons and keys. */
export function setUp() {
  for (const radio of document.querySelectorAll("[name=tool]")) radio.addEventListener("change", () => use(radio.value));
  byId("size").addEventListener("input", () => resize(byId("size").valueAsNumber));
  byId("undo").addEventListener("click", masks.undo);
  byId("redo").addEventListener("click", masks.redo);
  byId("invert").addEventListener("click", masks.invert);
  byId("clear").addEventListener("click", masks.clear);
  byId("mask-file").addEventListener("change", upload);
  byId("mask-choose").addEventListener("click", () => byId("mask-file").click());
  byId("editor").addEventListener("keydown", keys);
  on("painted", refresh);
  on("regions", refresh);
  on("source", ({ width, height }) => {
    byId("size").max = String(Math.max(1, Math.round(Math.max(width, height) / 2)));
    resize(Math.max(width, height) / 10);
    use("brush");
  });
}

function use(name) {
  choose(name);
  document.querySelector(`[name=tool][value=${name}]`).checked = true;
  canvas.refreshRing();
}

function resize(size) {
  setSize(size);
  byId("size").value = String(tool.size);
  byId("size-value").textContent = `${tool.size} px`;
  canvas.refreshRing();
}

function refresh() {
  byId("undo").disabled = !masks.canUndo();
  byId("redo").disabled = !masks.canRedo();
}

async function upload() {
  const [file] = byId("mask-file").files;
  byId("mask-file").value = "";
  if (!file) return;
  try {
    const wrong = masks.take(await decode(file));
    if (wrong) atField("mask", wrong);
    else announce("Mask loaded");
  } catch {
    atField("mask", "This file cannot be read as a picture.");
  }
}

function keys(event) {
  if (!state.source || event.target.matches("input:not([type=radio], [type=range]), textarea")) return;
  const pressed = event.key.toLowerCase();
  // AltGr counts as Ctrl with Alt on some systems.
  const typed = pressed.length === 1 && !event.metaKey && (event.altKey || !event.ctrlKey);
  if (typed && SMALLER.includes(pressed)) resize(Math.min(tool.size / GROW, tool.size - 1));
  else if (typed && LARGER.includes(pressed)) resize(Math.max(tool.size * GROW, tool.size + 1));
  else if (event.altKey) return;
  else if (event.ctrlKey || event.metaKey) {
    if (pressed === "z" && event.shiftKey) masks.redo();
    else if (pressed === "z") masks.undo();
    else if (pressed === "y") masks.redo();
    else return;
  } else if (TOOLS[pressed]) use(TOOLS[pressed]);
  else if (pressed === "+" || pressed === "=") canvas.zoom(1.25);
  else if (pressed === "-") canvas.zoom(1 / 1.25);
  else if (pressed === "0") canvas.fit();
  else return;
  event.preventDefault();
}
