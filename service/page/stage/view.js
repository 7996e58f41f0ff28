// What lies where on the stage: one or two panes on the same piece of the picture, zoom, and which picture is shown.

import { announce, byId } from "../shared/dom.js";
import { emit, on, state } from "../shared/state.js";
import { text } from "../strings.js";
import { masks } from "./masks.js";
import { drawing } from "./tools.js";

const ZOOM = 1.25;
const LARGEST = 32;
const SMALLEST = 0.02;
const COARSE = 3; // from this scale on, pixels are shown as such
const KEPT = 40; // screen pixels of the picture that no move takes off the stage

const stage = byId("stage");
const pane = byId("pane");
const view = { scale: 1, x: 0, y: 0, fitted: true };
let result = null; // {width, height} of the result that is shown

/** Wire the buttons and the size of the window. */
export function setUp() {
  new ResizeObserver(() => {
    // Nothing moves under a stroke.
    if (view.fitted && !drawing()) fit();
    else render();
  }).observe(pane);
  byId("zoom-in").addEventListener("click", () => zoom(ZOOM));
  byId("zoom-out").addEventListener("click", () => zoom(1 / ZOOM));
  byId("zoom-fit").addEventListener("click", fit);
  byId("view-mask").addEventListener("click", () => show("mask"));
  byId("view-result").addEventListener("click", () => show("result"));
  on("source", () => {
    const { source } = state;
    if (source) byId("picture").src = source.url;
    byId("source-name").textContent = source ? text.source.size(source.name, source.width, source.height) : "";
    show("mask");
    fit();
  });
}

/** Show the "mask" or the "result". */
export function show(name) {
  const shown = name === "result" && result ? "result" : "mask";
  const changed = shown !== state.view;
  state.view = shown;
  const empty = shown === "mask" && !state.source;
  byId("empty").hidden = !empty;
  byId("work").hidden = !state.source && !result;
  byId("bench").hidden = empty;
  for (const each of document.querySelectorAll(".masking")) each.hidden = shown !== "mask" || empty;
  byId("view-mask").setAttribute("aria-pressed", String(shown === "mask"));
  byId("view-result").setAttribute("aria-pressed", String(shown === "result"));
  byId("view-result").disabled = !result;
  stage.dataset.view = shown;
  byId("picture").hidden = byId("regions-layer").hidden = byId("outline").hidden = shown !== "mask";
  emit("view", shown);
  if (changed && view.fitted) fit();
  else render();
}

/** The result that can be shown has this size; null: there is none. */
export function setResult(size) {
  result = size;
  if (view.fitted) fit();
}

/** Width and height in pixels of what is shown. */
export function size() {
  return state.view === "result" && result ? result : masks;
}

export const scale = () => view.scale;

/** Multiply the zoom; the middle of the pane, or the given point of it, stays where it is. */
export function zoom(factor, x = pane.clientWidth / 2, y = pane.clientHeight / 2, told = true) {
  const before = view.scale;
  view.scale = Math.min(Math.max(before * factor, SMALLEST), LARGEST);
  const ratio = view.scale / before;
  view.x = x - (x - view.x) * ratio;
  view.y = y - (y - view.y) * ratio;
  view.fitted = false;
  render();
  if (told) announce(byId("zoom-fit").textContent);
}

/** Move the picture by screen pixels. */
export function pan(x, y) {
  view.x += x;
  view.y += y;
  view.fitted = false;
  render();
}

/** All of the picture. */
export function fit() {
  const { width, height } = size();
  if (!width || !pane.clientWidth) return;
  view.fitted = true;
  view.scale = Math.min(pane.clientWidth / width, pane.clientHeight / height, LARGEST);
  view.x = (pane.clientWidth - width * view.scale) / 2;
  view.y = (pane.clientHeight - height * view.scale) / 2;
  render();
}

/** Where an event is, in pixels of the picture. */
export function pointOf({ clientX, clientY }) {
  const box = byId("sheet").getBoundingClientRect();
  const { width, height } = size();
  return [((clientX - box.left) / box.width) * width, ((clientY - box.top) / box.height) * height];
}

/** Where the picture lies in the pane, in screen pixels. */
export function placed() {
  const { width, height } = size();
  return { x: view.x, y: view.y, width: width * view.scale, height: height * view.scale };
}

/** Move the picture so that a point of it is on the stage. */
export function reveal([x, y]) {
  const [left, top] = [view.x + x * view.scale, view.y + y * view.scale];
  const aside = (at, end) => (at < 0 ? -at : at > end ? end - at : 0);
  const [dx, dy] = [aside(left, pane.clientWidth), aside(top, pane.clientHeight)];
  if (dx || dy) pan(dx, dy);
}

function render() {
  const { width, height } = size();
  const [wide, high] = [width * view.scale, height * view.scale];
  view.x = Math.min(Math.max(view.x, KEPT - wide), pane.clientWidth - KEPT);
  view.y = Math.min(Math.max(view.y, KEPT - high), pane.clientHeight - KEPT);
  for (const sheet of /** @type {NodeListOf<HTMLElement>} */ (stage.querySelectorAll(".sheet"))) {
    sheet.style.width = `${wide}px`;
    sheet.style.height = `${high}px`;
    sheet.style.transform = `translate(${view.x}px, ${view.y}px)`;
    sheet.classList.toggle("coarse", view.scale >= COARSE);
  }
  byId("zoom-fit").textContent = `${Math.round(view.scale * 100)} %`;
  emit("moved");
}
