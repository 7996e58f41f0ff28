// The stage: the picture with the regions over it, its zoom, and pointer and keys on it.

import { announce, byId } from "./dom.js";
import * as masks from "./masks.js";
import { on, state } from "./state.js";
import * as tools from "./tools.js";

const ZOOM = 1.25;
const NEAR = 10; // screen pixels within which a polygon closes at its first point

const stage = byId("stage");
const sheet = byId("sheet");
const ring = byId("ring");
const view = { scale: 1, fitted: true, cursor: null, pressed: false };

/** Wire pointer, wheel and keys. */
export function setUp() {
  tools.setDraft(byId("draft"));
  on("source", show);
  on("regions", stack);
  new ResizeObserver(() => view.fitted && fit()).observe(stage);
  stage.addEventListener("pointerdown", press);
  stage.addEventListener("pointermove", drag);
  stage.addEventListener("pointerup", release);
  stage.addEventListener("pointercancel", () => (view.pressed = false, tools.cancel()));
  stage.addEventListener("pointerleave", () => document.activeElement === stage || (ring.hidden = true));
  stage.addEventListener("dblclick", tools.close);
  stage.addEventListener("wheel", wheel, { passive: false });
  stage.addEventListener("keydown", keys);
  stage.addEventListener("blur", () => (ring.hidden = true));
  byId("zoom-in").addEventListener("click", () => zoom(ZOOM));
  byId("zoom-out").addEventListener("click", () => zoom(1 / ZOOM));
  byId("zoom-fit").addEventListener("click", fit);
}

/** Multiply the zoom; the middle of the stage, or the given point of it, stays where it is. */
export function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const before = view.scale;
  setScale(before * factor);
  view.fitted = false;
  const ratio = view.scale / before;
  stage.scrollLeft = (stage.scrollLeft + x) * ratio - x;
  stage.scrollTop = (stage.scrollTop + y) * ratio - y;
  announce(byId("zoom-fit").textContent);
}

/** All of the picture. */
export function fit() {
  if (!state.source) return;
  const high = Math.max(240, Math.min(window.innerHeight * 0.62, 640));
  view.fitted = true;
  setScale(Math.min(stage.clientWidth / masks.masks.width, high / masks.masks.height));
}

/** The brush has another size, or the tool has changed. */
export function refreshRing() {
  const round = tools.tool.name === "brush" || tools.tool.name === "eraser";
  const size = round ? tools.tool.size * view.scale : 9;
  ring.style.width = ring.style.height = `${size}px`;
  stage.dataset.tool = tools.tool.name;
}

function setScale(scale) {
  view.scale = Math.min(Math.max(scale, 0.05), 32);
  sheet.style.width = `${masks.masks.width * view.scale}px`;
  sheet.style.height = `${masks.masks.height * view.scale}px`;
  sheet.classList.toggle("coarse", view.scale >= 3);
  byId("zoom-fit").textContent = `${Math.round(view.scale * 100)} %`;
  refreshRing();
}

function show({ bitmap, width, height }) {
  const canvas = byId("picture");
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  byId("draft").setAttribute("viewBox", `0 0 ${width} ${height}`);
  view.cursor = [width / 2, height / 2];
  fit();
}

function stack() {
  const wanted = masks.masks.regions.map(({ canvas }) => canvas);
  for (const old of sheet.querySelectorAll(".region")) if (!wanted.includes(old)) old.remove();
  for (const { canvas } of masks.masks.regions) {
    canvas.className = "region";
    if (!canvas.isConnected) byId("draft").before(canvas);
  }
}

function pointOf(event) {
  const box = sheet.getBoundingClientRect();
  const { width, height } = masks.masks;
  return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
}

function press(event) {
  if (!state.source || event.button !== 0 || !event.isPrimary) return;
  if (tools.tool.name === "move" && event.pointerType === "touch") return; // The browser scrolls.
  stage.focus({ preventScroll: true });
  stage.setPointerCapture(event.pointerId);
  view.pressed = true;
  if (tools.tool.name !== "move") tools.down(pointOf(event), NEAR / view.scale);
}

function drag(event) {
  if (!state.source || !event.isPrimary) return;
  if (tools.tool.name === "move") {
    if (view.pressed) stage.scrollBy(-event.movementX, -event.movementY);
    return;
  }
  place(pointOf(event));
  const moves = event.getCoalescedEvents?.() ?? [];
  for (const each of moves.length ? moves : [event]) tools.move(pointOf(each));
}

function release(event) {
  if (!view.pressed || !event.isPrimary) return;
  view.pressed = false;
  if (tools.tool.name !== "move") tools.up();
}

function place(point) {
  view.cursor = point;
  ring.hidden = tools.tool.name === "move";
  ring.style.left = `${point[0] * view.scale}px`;
  ring.style.top = `${point[1] * view.scale}px`;
}

function wheel(event) {
  if (!event.ctrlKey || !state.source) return;
  event.preventDefault();
  const box = stage.getBoundingClientRect();
  zoom(event.deltaY < 0 ? ZOOM : 1 / ZOOM, event.clientX - box.left, event.clientY - box.top);
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Arrows move the brush (with Shift by single pixels), Space puts it down and lifts it, Enter closes a polygon. */
function keys(event) {
  if (!state.source || event.ctrlKey || event.metaKey || event.altKey) return;
  const arrow = ARROWS[event.key];
  const { width, height } = masks.masks;
  if (arrow) {
    const far = event.shiftKey ? 1 : Math.max(1, Math.max(width, height) / 40);
    const [x, y] = view.cursor;
    place([clamp(x + arrow[0] * far, width), clamp(y + arrow[1] * far, height)]);
    ring.scrollIntoView({ block: "nearest", inline: "nearest" });
    tools.move(view.cursor);
  } else if (event.key === " ") {
    place(view.cursor);
    if (tools.tool.name === "polygon" || !tools.drawing()) tools.down(view.cursor, NEAR / view.scale);
    else tools.up();
  } else if (event.key === "Enter") tools.close();
  else if (event.key === "Escape") tools.cancel();
  else return;
  event.preventDefault();
}

function clamp(value, end) {
  return Math.min(Math.max(value, 0), end);
}
