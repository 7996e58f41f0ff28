// Pointers and keys on the stage: one finger or the mouse paints, two fingers pan and zoom, Space pans, the wheel zooms.

import { byId } from "../shared/dom.js";
import { emit, on, state } from "../shared/state.js";
import { masks } from "./masks.js";
import * as tools from "./tools.js";
import * as view from "./view.js";

const NEAR = 10; // screen pixels within which a polygon closes at its first point
const WHEEL = 0.0015; // of the zoom's logarithm per pixel of wheel

const stage = byId("stage");
const ring = byId("ring");
const pointers = new Map(); // by id: where each is
const space = { held: false, used: false };
let gesture = ""; // what the pressed pointers do: "tool", "slide", "pan", "pinch", "none"
/** @type {[number, number]} */
let cursor = [0, 0]; // of the keyboard, in pixels of the picture

/** Wire pointer, wheel and keys. */
export function setUp() {
  tools.setDraft(byId("draft"));
  stage.addEventListener("pointerdown", press);
  stage.addEventListener("pointermove", drag);
  stage.addEventListener("pointerup", release);
  stage.addEventListener("pointercancel", release);
  stage.addEventListener("pointerleave", () => document.activeElement === stage || (ring.hidden = true));
  stage.addEventListener("dblclick", tools.close);
  stage.addEventListener("wheel", wheel, { passive: false });
  stage.addEventListener("dragstart", (event) => event.preventDefault());
  stage.addEventListener("keydown", keys);
  stage.addEventListener("keyup", lift);
  stage.addEventListener("blur", () => {
    ring.hidden = true;
    space.held = false;
  });
  on("source", () => {
    const { width, height } = masks;
    byId("draft").setAttribute("viewBox", `0 0 ${width} ${height}`);
    cursor = [width / 2, height / 2];
  });
  on("tool", refreshRing);
  on("moved", refreshRing);
}

function refreshRing() {
  const round = tools.tool.name === "brush" || tools.tool.name === "eraser";
  const size = round ? tools.tool.size * view.scale() : 9;
  ring.style.width = ring.style.height = `${size}px`;
  ring.style.left = `${cursor[0] * view.scale()}px`;
  ring.style.top = `${cursor[1] * view.scale()}px`;
  stage.dataset.tool = tools.tool.name;
}

function press(event) {
  if (pointers.size > 1 || (event.button !== 0 && event.button !== 1)) return;
  stage.focus({ preventScroll: true });
  stage.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, [event.clientX, event.clientY]);
  if (pointers.size === 2) {
    // What the first of two fingers has begun was no stroke.
    if (gesture === "tool") tools.takeBack();
    gesture = "pinch";
  } else if (event.button === 1 || space.held || (state.view === "mask" && tools.tool.name === "move")) {
    space.used = true;
    gesture = "pan";
  } else if (state.view === "result") {
    gesture = "slide";
    emit("slide", view.pointOf(event)[0] / view.size().width);
  } else {
    gesture = tools.tool.name === "select" ? "select" : "tool";
    tools.down(view.pointOf(event), NEAR / view.scale());
  }
  if (event.button === 1) event.preventDefault();
}

function drag(event) {
  const before = pointers.get(event.pointerId);
  if (before && (gesture === "pan" || gesture === "pinch")) {
    move(event, before);
    return;
  }
  if (before) pointers.set(event.pointerId, [event.clientX, event.clientY]);
  if (state.view === "result") {
    if (before && gesture === "slide") emit("slide", view.pointOf(event)[0] / view.size().width);
    return;
  }
  if (tools.tool.name === "move" || (pointers.size && gesture !== "tool")) return;
  place(view.pointOf(event));
  const moves = event.getCoalescedEvents?.() ?? [];
  for (const each of moves.length ? moves : [event]) tools.move(view.pointOf(each));
}

/** One of the pointers that pan or pinch has moved. */
function move(event, [x, y]) {
  const now = [event.clientX, event.clientY];
  if (gesture === "pinch" && pointers.size === 2) {
    const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
    /** @type {(at: number[]) => number} */
    const apart = ([a, b]) => Math.max(1, Math.hypot(a - other[0], b - other[1]));
    const box = byId("pane").getBoundingClientRect();
    // Half of the way each finger goes moves the point between them.
    view.pan((now[0] - x) / 2, (now[1] - y) / 2);
    const middle = [(now[0] + other[0]) / 2 - box.left, (now[1] + other[1]) / 2 - box.top];
    view.zoom(apart(now) / apart([x, y]), middle[0], middle[1], false);
  } else if (gesture === "pan") view.pan(now[0] - x, now[1] - y);
  pointers.set(event.pointerId, now);
}

function release(event) {
  if (!pointers.delete(event.pointerId)) return;
  if (gesture === "select" && event.type === "pointerup") {
    emit("select", { point: view.pointOf(event), isOutside: event.altKey || event.shiftKey });
  } else if (gesture === "tool") {
    if (event.type === "pointercancel") tools.cancel();
    else tools.up();
  }
  // The finger that stays after a pinch does not paint.
  gesture = pointers.size ? "none" : "";
}

function place(point) {
  cursor = point;
  ring.hidden = state.view !== "mask" || tools.tool.name === "move";
  refreshRing();
}

function wheel(event) {
  event.preventDefault();
  const box = byId("pane").getBoundingClientRect();
  // Lines and pages as browsers without pixels count them.
  const pixels = event.deltaY * [1, 16, 400][event.deltaMode];
  view.zoom(Math.exp(-pixels * WHEEL), event.clientX - box.left, event.clientY - box.top, false);
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Arrows move the brush (with Shift by single pixels), Enter closes a polygon, Escape gives up what was begun. */
function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const arrow = ARROWS[event.key];
  if (event.key === " ") {
    if (!event.repeat) Object.assign(space, { held: true, used: false });
  } else if (state.view === "result") {
    if (!arrow?.[0]) return;
    emit("nudge", arrow[0]);
  } else if (arrow) {
    const { width, height } = masks;
    const far = event.shiftKey ? 1 : Math.max(1, Math.max(width, height) / 40);
    place([clamp(cursor[0] + arrow[0] * far, width), clamp(cursor[1] + arrow[1] * far, height)]);
    view.reveal(cursor);
    tools.move(cursor);
  } else if (event.key === "Enter") tools.close();
  else if (event.key === "Escape") tools.cancel();
  else return;
  event.preventDefault();
}

/** Space held pans; pressed alone it puts the brush down and lifts it. */
function lift(event) {
  if (event.key !== " " || !space.held) return;
  space.held = false;
  if (space.used || state.view !== "mask" || !state.source || tools.tool.name === "move") return;
  place(cursor);
  if (tools.tool.name === "select") emit("select", { point: cursor, isOutside: event.altKey || event.shiftKey });
  else if (tools.tool.name === "polygon" || !tools.drawing()) tools.down(cursor, NEAR / view.scale());
  else tools.up();
}

function clamp(value, end) {
  return Math.min(Math.max(value, 0), end);
}
