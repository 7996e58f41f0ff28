// Tools, size, and what can be done to the mask at once; also by key while the focus is in the editor.

import { choices } from "../ask/settings.js";
import { announce, byId } from "../shared/dom.js";
import { atField } from "../shared/errors.js";
import { emit, on, state } from "../shared/state.js";
import { text } from "../strings.js";
import * as masks from "./masks.js";
import { decode } from "./source.js";
import { choose, setSize, tool } from "./tools.js";
import { canRedo, canUndo, redo, undo } from "./undo.js";
import * as view from "./view.js";

const TOOLS = { s: "select", b: "brush", e: "eraser", l: "lasso", p: "polygon", r: "box", m: "move" };
// On many keyboards the brackets need AltGr or Option; comma and full stop do not.
const SMALLER = "[,";
const LARGER = "].";
const STEP = 1.25;
const EDGE = 0.02; // of the picture's longer side, by which a mask grows at first

/** Wire buttons and keys. */
export function setUp() {
  for (const radio of document.querySelectorAll("[name=tool]")) radio.addEventListener("change", () => use(radio.value));
  byId("size").addEventListener("input", () => resize(byId("size").valueAsNumber));
  byId("undo").addEventListener("click", undo);
  byId("redo").addEventListener("click", redo);
  byId("invert").addEventListener("click", masks.invert);
  byId("clear").addEventListener("click", masks.clear);
  byId("grow").addEventListener("click", () => masks.grow(amount()));
  byId("shrink").addEventListener("click", () => masks.shrink(amount()));
  byId("mask-file").addEventListener("change", upload);
  byId("mask-choose").addEventListener("click", () => byId("mask-file").click());
  byId("editor").addEventListener("keydown", keys);
  document.addEventListener("keydown", steps);
  byId("feather").addEventListener("input", () => masks.setFeather(byId("feather").valueAsNumber));
  byId("feather").addEventListener("change", () => emit("note"));
  on("feather", feather);
  // Where the service takes grey for a strength, and this browser can blur.
  on("models", () => {
    const isOffered = choices("mask_softness").includes("strength");
    byId("feather-row").hidden = !isOffered || !("filter" in CanvasRenderingContext2D.prototype);
  });
  on("steps", () => {
    byId("undo").disabled = !canUndo();
    byId("redo").disabled = !canRedo();
  });
  on("source", () => {
    const longest = Math.max(masks.masks.width, masks.masks.height);
    byId("size").max = String(Math.max(1, Math.round(longest / 2)));
    byId("amount").value = String(Math.max(1, Math.round(longest * EDGE)));
    byId("feather").max = String(Math.max(4, Math.round(longest / 8)));
    feather();
    resize(longest / 10);
    use("brush");
  });
}

function use(name) {
  choose(name);
  document.querySelector(`[name=tool][value=${name}]`).checked = true;
}

function resize(size) {
  setSize(size);
  byId("size").value = String(tool.size);
  byId("size-value").textContent = text.units.pixels(tool.size);
}

function feather() {
  byId("feather").value = String(masks.masks.feather);
  byId("feather-value").textContent = text.units.pixels(masks.masks.feather);
}

function amount() {
  const input = byId("amount");
  const value = Math.round(input.valueAsNumber) || 1;
  input.value = String(Math.min(Math.max(value, Number(input.min)), Number(input.max)));
  return Number(input.value);
}

async function upload() {
  const [file] = byId("mask-file").files;
  byId("mask-file").value = "";
  if (!file) return;
  try {
    const wrong = masks.take(await decode(file));
    if (wrong) atField("mask", wrong);
    else announce(text.mask.loaded);
  } catch {
    atField("mask", text.errors.maskFile);
  }
}

const isTyping = ({ target }) => target.matches("input:not([type=radio], [type=range], [type=checkbox]), textarea");

/** Undo and redo, wherever the focus is; a field of text has its own. */
function steps(event) {
  if (!(event.ctrlKey || event.metaKey) || event.altKey || isTyping(event)) return;
  const pressed = event.key.toLowerCase();
  if (pressed === "z" && !event.shiftKey) undo();
  else if (pressed === "z" || pressed === "y") redo();
  else return;
  event.preventDefault();
}

function keys(event) {
  if (isTyping(event)) return;
  const pressed = event.key.toLowerCase();
  // AltGr counts as Ctrl with Alt on some systems.
  const typed = pressed.length === 1 && !event.metaKey && (event.altKey || !event.ctrlKey);
  const painting = state.source && state.view === "mask";
  if (typed && painting && SMALLER.includes(pressed)) resize(Math.min(tool.size / STEP, tool.size - 1));
  else if (typed && painting && LARGER.includes(pressed)) resize(Math.max(tool.size * STEP, tool.size + 1));
  else if (event.altKey || event.ctrlKey || event.metaKey) return;
  else if (painting && TOOLS[pressed] && !(pressed === "s" && byId("select-tool").hidden)) use(TOOLS[pressed]);
  else if (pressed === "+" || pressed === "=") view.zoom(STEP);
  else if (pressed === "-") view.zoom(1 / STEP);
  else if (pressed === "0") view.fit();
  else return;
  event.preventDefault();
}
