// What the pointer does on the canvas: brush, eraser, lasso, polygon, box. A tool hears of presses, moves and releases in
// pixels of the picture, whether a mouse, a finger, a pen or the arrow keys made them.

import { svg } from "../shared/dom.js";
import { emit, on } from "../shared/state.js";
import * as masks from "./masks.js";

export const tool = { name: "brush", size: 16 };

let draft; // the SVG layer for what is not yet painted
let path = []; // the stroke, the box's corners, the lasso's or the polygon's points so far
let context = null;

on("settle", settle);

export const setDraft = (layer) => (draft = layer);

export const drawing = () => path.length > 0;

export function choose(name) {
  cancel();
  tool.name = name;
  emit("tool");
}

/** Sizes in pixels of the picture, up to half its longer side. */
export function setSize(size) {
  const largest = Math.max(masks.masks.width, masks.masks.height) / 2;
  tool.size = Math.round(Math.min(Math.max(size, 1), Math.max(largest, 1)));
  emit("tool");
}

export function down(point, near) {
  if (tool.name === "select") return;
  if (tool.name === "polygon") {
    if (path.length > 2 && distance(point, path[0]) <= near) close();
    else path.push(point);
    sketch(point);
    return;
  }
  path = [point];
  if (tool.name === "box" || tool.name === "lasso") return;
  context = masks.begin();
  if (tool.name === "eraser") context.globalCompositeOperation = "destination-out";
  line(point, point);
}

export function move(point) {
  if (!path.length) return;
  if (context) {
    line(path.at(-1), point);
    path.push(point);
  } else {
    if (tool.name === "box") path = [path[0], point];
    if (tool.name === "lasso") path.push(point);
    sketch(point);
  }
}

export function up() {
  if (tool.name === "polygon" || !path.length) return;
  if (context) masks.commit();
  else if (tool.name === "box" && path.length > 1) fill(corners());
  else if (path.length > 2) fill(path);
  context = null;
  path = [];
  sketch();
}

/** Finish the polygon. */
export function close() {
  if (tool.name !== "polygon") return;
  if (path.length > 2) fill(path);
  path = [];
  sketch();
}

/** End what has been begun: a stroke is kept as far as it got, a box or polygon given up. */
function settle() {
  if (context) up();
  else cancel();
}

/** Give up the press that has just begun: of a polygon its last corner alone. */
export function takeBack() {
  if (tool.name !== "polygon") return cancel();
  path.pop();
  sketch(path.at(-1));
}

/** Give up what has been begun. */
export function cancel() {
  if (context) masks.rollback();
  context = null;
  path = [];
  sketch();
}

function line(from, to) {
  const radius = tool.size / 2;
  context.lineWidth = tool.size;
  context.lineCap = "round";
  context.lineJoin = "round";
  context.beginPath();
  context.moveTo(...from);
  // A line without a length would paint nothing.
  context.lineTo(to[0] + (from === to ? 0.01 : 0), to[1]);
  context.stroke();
  masks.touch(
    Math.min(from[0], to[0]) - radius - 1,
    Math.min(from[1], to[1]) - radius - 1,
    Math.max(from[0], to[0]) + radius + 1,
    Math.max(from[1], to[1]) + radius + 1,
  );
  emit("stroke");
}

function fill(points) {
  const painter = masks.begin();
  painter.beginPath();
  for (const point of points) painter.lineTo(...point);
  painter.closePath();
  painter.fill();
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  masks.touch(Math.min(...xs) - 1, Math.min(...ys) - 1, Math.max(...xs) + 1, Math.max(...ys) + 1);
  masks.commit();
}

function corners() {
  const [[left, top], [right, bottom]] = path;
  return [[left, top], [right, top], [right, bottom], [left, bottom]];
}

/** Show the box or polygon as it would be with its next point here. */
function sketch(point) {
  if (!draft) return;
  const points = tool.name === "box" && path.length > 1 ? corners() : [...path, ...(point ? [point] : [])];
  if (!path.length || tool.name === "brush" || tool.name === "eraser") draft.replaceChildren();
  else draft.replaceChildren(svg("polygon", { points: points.map((each) => each.join(",")).join(" ") }));
}

function distance(a, b) {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}
