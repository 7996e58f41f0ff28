// The result on the stage: before and after by a slider that begins with the whole result, by holding a key, side by
// side, and their difference.

import { announce, byId } from "../shared/dom.js";
import { on, state } from "../shared/state.js";
import { decode } from "../stage/source.js";
import { setResult, show } from "../stage/view.js";
import { text } from "../strings.js";

const GAIN = 4; // of the difference, so that small ones are seen
const KEY = "c";

const urls = new Map(); // by img: the address of what it shows
let isComparable = false;
let difference = null; // what computes it, once it is wanted
let asked = 0; // how often something was to be shown: a late picture of an earlier wish is dropped

/** Wire slider, buttons and key. */
export function setUp() {
  byId("slide").addEventListener("input", set);
  on("slide", (share) => slideTo(100 * share));
  on("nudge", (by) => slideTo(byId("slide").valueAsNumber + by));
  on("view", refresh);
  const hold = byId("hold");
  hold.addEventListener("pointerdown", (event) => {
    hold.setPointerCapture(event.pointerId);
    holding(true);
  });
  for (const end of ["pointerup", "pointercancel", "blur"]) hold.addEventListener(end, () => holding(false));
  hold.addEventListener("contextmenu", (event) => event.preventDefault()); // a long touch
  hold.addEventListener("keydown", ({ key }) => (key === " " || key === "Enter") && holding(true));
  hold.addEventListener("keyup", () => holding(false));
  document.addEventListener("keydown", (event) => {
    const { key, target, ctrlKey, metaKey, altKey } = event;
    if (key.toLowerCase() !== KEY || ctrlKey || metaKey || altKey || state.view !== "result") return;
    if (/** @type {HTMLElement} */ (target).matches("input:not([type=radio], [type=range]), textarea, select")) return;
    holding(true);
  });
  document.addEventListener("keyup", ({ key }) => key.toLowerCase() === KEY && holding(false));
  window.addEventListener("blur", () => holding(false));
  byId("side").addEventListener("click", () => toggle("side"));
  byId("difference").addEventListener("click", () => toggle("difference"));
}

/** Show a result, with the picture before it where it is known (null: it is not) and is of its size. `preview`: it is
 * a small one of what the result may be, and this is said of it. */
export async function present(before, after, preview = "") {
  const turn = (asked += 1);
  const [found, source] = await Promise.all([decode(after), before ? decode(before) : null]);
  if (turn !== asked) return;
  const result = preview && source ? source : found;
  isComparable = Boolean(source) && source.width === result.width && source.height === result.height;
  put("after", after);
  for (const id of ["before", "aside"]) put(id, isComparable ? before : null);
  difference = isComparable && !preview ? () => apart(source, result) : null;
  byId("tag-after").textContent = preview || text.result.afterTag;
  byId("slide").value = "0";
  for (const id of ["side", "difference"]) byId(id).setAttribute("aria-pressed", "false");
  setResult({ width: result.width, height: result.height });
  show("result");
  refresh();
}

/** Another preview of the same edit. */
export function renew(after, preview) {
  put("after", after);
  byId("tag-after").textContent = preview;
}

/** There is no result to show. */
export function withdraw() {
  asked += 1;
  setResult(null);
  for (const id of ["after", "before", "aside"]) put(id, null);
  show("mask");
}

function put(id, blob) {
  const image = /** @type {HTMLImageElement} */ (byId(id));
  if (urls.has(id)) URL.revokeObjectURL(urls.get(id));
  urls.delete(id);
  if (!blob) {
    image.removeAttribute("src");
    return;
  }
  urls.set(id, URL.createObjectURL(blob));
  image.src = urls.get(id);
}

function slideTo(share) {
  byId("slide").value = String(share);
  set();
}

function set() {
  const share = byId("slide").valueAsNumber;
  byId("pane").style.setProperty("--at", `${share}%`);
  byId("slide").setAttribute("aria-valuetext", text.result.shares(Math.round(share)));
  byId("handle").hidden = !isSliding() || share === 0;
  byId("tag-before").hidden = !isSliding() || share === 0;
  byId("tag-after").hidden = state.view !== "result" || share === 100;
}

const pressed = (id) => byId(id).getAttribute("aria-pressed") === "true";
const isSliding = () => state.view === "result" && isComparable && !pressed("side") && !pressed("difference");

function holding(on) {
  if (on && !isSliding()) return;
  byId("pane").classList.toggle("held", on && isComparable);
  byId("hold").classList.toggle("down", on && isComparable);
  if (on) byId("tag-before").hidden = !(byId("tag-after").hidden = true);
  else set();
}

function toggle(id) {
  const other = id === "side" ? "difference" : "side";
  byId(id).setAttribute("aria-pressed", String(!pressed(id)));
  byId(other).setAttribute("aria-pressed", "false");
  refresh();
}

function refresh() {
  const isResult = state.view === "result";
  byId("after").hidden = !isResult;
  byId("before").hidden = !isSliding();
  byId("pane-before").hidden = !(isResult && pressed("side"));
  byId("apart").hidden = !(isResult && pressed("difference"));
  byId("result-bar").hidden = !isResult;
  byId("finished").hidden = !isResult && urls.has("after");
  for (const id of /** @type {const} */ (["slide", "hold", "side", "difference"])) byId(id).disabled = !isComparable;
  for (const id of /** @type {const} */ (["slide", "hold"])) byId(id).disabled ||= !isSliding();
  byId("difference").disabled ||= !difference;
  if (isResult && pressed("difference")) announce(text.result.share((100 * difference()).toFixed(1), GAIN));
  byId("apart-text").hidden = !(isResult && pressed("difference"));
  byId("no-before").hidden = !isResult || isComparable;
  set();
}

/** Draw what differs, amplified; the share of pixels that do. */
function apart(source, result) {
  const [a, b] = [source, result].map((bitmap) => {
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, bitmap.width, bitmap.height);
  });
  let changed = 0;
  for (let i = 0; i < b.data.length; i += 4) {
    let any = 0;
    for (let k = i; k < i + 3; k += 1) {
      const far = Math.abs(a.data[k] - b.data[k]);
      any |= far;
      b.data[k] = far * GAIN;
    }
    b.data[i + 3] = 255;
    if (any) changed += 1;
  }
  const canvas = byId("apart");
  Object.assign(canvas, { width: b.width, height: b.height });
  canvas.getContext("2d").putImageData(b, 0, 0);
  const share = changed / (b.width * b.height);
  byId("apart-text").textContent = text.result.share((100 * share).toFixed(1), GAIN);
  return share;
}
