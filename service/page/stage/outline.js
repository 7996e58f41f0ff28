// The edge of what is painted, in black and white stripes that move: it is seen on every colour. Beside it a tint.

import { byId } from "../shared/dom.js";
import { on, state } from "../shared/state.js";
import { masks } from "./masks.js";
import { placed, scale } from "./view.js";

const WIDTH = 1.5; // of the line, in screen pixels
const STRIPE = 5;
const TICK_MS = 120;
const TINT = "magedit-tint";
const AROUND = [[1, 0], [-1, 0], [0, 1], [0, -1], [0.7, 0.7], [0.7, -0.7], [-0.7, 0.7], [-0.7, -0.7]];

const canvas = byId("outline");
const lines = { selected: new OffscreenCanvas(1, 1), others: new OffscreenCanvas(1, 1) };
const shape = new OffscreenCanvas(1, 1);
const stripes = new OffscreenCanvas(2 * STRIPE, 2 * STRIPE);
const still = matchMedia("(prefers-reduced-motion: reduce)");
let due = false;
let shift = 0;

/** Wire what moves or changes the edge, and the tint. */
export function setUp() {
  const context = stripes.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, 2 * STRIPE, 2 * STRIPE);
  context.fillStyle = "#000";
  context.fillRect(0, 0, STRIPE, STRIPE);
  context.fillRect(STRIPE, STRIPE, STRIPE, STRIPE);
  for (const topic of ["moved", "painted", "stroke", "regions", "view"]) on(topic, later);
  on("regions", stack);
  setInterval(() => {
    if (state.view !== "mask" || !masks.regions.length || document.hidden || still.matches) return;
    shift = (shift + 1) % (2 * STRIPE);
    draw();
  }, TICK_MS);
  const tint = byId("tint");
  tint.value = localStorage.getItem(TINT) ?? tint.value;
  const apply = () => byId("regions-layer").style.setProperty("opacity", String(tint.valueAsNumber / 100));
  tint.addEventListener("input", () => {
    localStorage.setItem(TINT, tint.value);
    apply();
  });
  apply();
  const soften = () => {
    byId("regions-layer").style.filter = masks.feather ? `blur(${(masks.feather / 2) * scale()}px)` : "";
  };
  for (const topic of ["feather", "moved"]) on(topic, soften);
}

/** The canvases of the regions that are shown, in their order. */
function stack() {
  const wanted = masks.regions.map((region) => {
    region.canvas.className = "region";
    region.canvas.hidden = region.isHidden;
    return region.canvas;
  });
  byId("regions-layer").replaceChildren(...wanted);
}

function later() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    find();
    draw();
  });
}

/** Where the edges are: what a shape moved in all directions covers, without the shape. */
function find() {
  const [width, height] = [canvas.clientWidth * devicePixelRatio, canvas.clientHeight * devicePixelRatio].map(Math.round);
  for (const each of [canvas, lines.selected, lines.others, shape]) {
    if (each.width !== width || each.height !== height) Object.assign(each, { width, height });
  }
  for (const each of Object.values(lines)) each.getContext("2d").clearRect(0, 0, width, height);
  if (!width || state.view !== "mask") return;
  const at = placed();
  const context = shape.getContext("2d");
  context.imageSmoothingEnabled = scale() < 1;
  const edge = new OffscreenCanvas(width, height);
  const around = edge.getContext("2d");
  for (const [number, region] of masks.regions.entries()) {
    if (region.isHidden || !(region.share || number === masks.selected)) continue;
    context.clearRect(0, 0, width, height);
    const [x, y, wide, high] = [at.x, at.y, at.width, at.height].map((value) => value * devicePixelRatio);
    context.drawImage(region.canvas, x, y, wide, high);
    around.globalCompositeOperation = "copy";
    around.drawImage(shape, 0, 0);
    around.globalCompositeOperation = "source-over";
    for (const [dx, dy] of AROUND) around.drawImage(shape, dx * WIDTH * devicePixelRatio, dy * WIDTH * devicePixelRatio);
    around.globalCompositeOperation = "destination-out";
    around.drawImage(shape, 0, 0);
    lines[number === masks.selected ? "selected" : "others"].getContext("2d").drawImage(edge, 0, 0);
  }
}

function draw() {
  const { width, height } = canvas;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  if (!width || state.view !== "mask") return;
  striped(context, lines.selected, shift);
  const rest = shape.getContext("2d");
  rest.clearRect(0, 0, width, height);
  striped(rest, lines.others, 0);
  context.globalCompositeOperation = "source-over";
  context.drawImage(shape, 0, 0);
}

function striped(context, line, by) {
  const pattern = context.createPattern(stripes, "repeat");
  pattern.setTransform(new DOMMatrix().translate(by, 0));
  context.globalCompositeOperation = "source-over";
  context.drawImage(line, 0, 0);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = pattern;
  context.fillRect(0, 0, line.width, line.height);
  context.globalCompositeOperation = "source-over";
}
