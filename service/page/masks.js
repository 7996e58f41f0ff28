// The regions: each is a canvas of the picture's size, painted in its colour where the edit may change something.
// What is painted can be undone; a step keeps the changed rectangle as it was and as it became.

import { emit } from "./state.js";

const COLOURS = ["#e4572e", "#2f86eb", "#17a673", "#b84be0", "#d99a00", "#00a0a5", "#9a6a3a", "#e0457b"];
const STEPS = 100; // that can be undone
const BYTES = 200e6; // that they may take

export const masks = { regions: [], selected: 0, width: 0, height: 0 };

let past = [];
let future = [];
let stroke = null;
const scratch = document.createElement("canvas");

export const current = () => masks.regions[masks.selected];
export const canUndo = () => past.length > 0;
export const canRedo = () => future.length > 0;

/** What is being painted ends before anything else happens to the regions. */
export const settle = () => emit("settle");

/** Start over on a picture of this size, with one empty region. */
export function reset(width, height) {
  settle();
  Object.assign(masks, { regions: [], selected: 0, width, height });
  scratch.width = width;
  scratch.height = height;
  past = [];
  future = [];
  stroke = null;
  addRegion();
}

/** Another region, with the first colour that is free; it is selected. */
export function addRegion() {
  settle();
  const taken = new Set(masks.regions.map(({ colour }) => colour));
  const colour = COLOURS.find((each) => !taken.has(each)) ?? COLOURS[masks.regions.length % COLOURS.length];
  const canvas = document.createElement("canvas");
  canvas.width = masks.width;
  canvas.height = masks.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  masks.regions.push({ colour, canvas, context, words: "", share: 0 });
  masks.selected = masks.regions.length - 1;
  emit("regions");
}

export function removeRegion(number) {
  settle();
  const [gone] = masks.regions.splice(number, 1);
  past = past.filter(({ region }) => region !== gone);
  future = future.filter(({ region }) => region !== gone);
  masks.selected = Math.min(masks.selected, masks.regions.length - 1);
  emit("regions");
}

export function select(number) {
  settle();
  masks.selected = number;
  emit("regions");
}

/** Begin a step on the selected region: its context, ready to paint in its colour. */
export function begin() {
  const region = current();
  const copy = scratch.getContext("2d", { willReadFrequently: true });
  copy.clearRect(0, 0, masks.width, masks.height);
  copy.drawImage(region.canvas, 0, 0);
  stroke = { region, box: null };
  const { context } = region;
  context.globalCompositeOperation = "source-over";
  context.fillStyle = region.colour;
  context.strokeStyle = region.colour;
  return context;
}

/** The step changes this rectangle (in pixels of the picture), too. */
export function touch(left, top, right, bottom) {
  const [a, b, c, d] = stroke.box ?? [left, top, right, bottom];
  stroke.box = [Math.min(a, left), Math.min(b, top), Math.max(c, right), Math.max(d, bottom)];
}

/** End the step and keep it for undo. */
export function commit() {
  const { region, box } = stroke;
  stroke = null;
  if (!box) return;
  const left = Math.max(0, Math.floor(box[0]));
  const top = Math.max(0, Math.floor(box[1]));
  const width = Math.min(masks.width, Math.ceil(box[2])) - left;
  const height = Math.min(masks.height, Math.ceil(box[3])) - top;
  if (width <= 0 || height <= 0) return;
  const before = scratch.getContext("2d").getImageData(left, top, width, height);
  const after = region.context.getImageData(left, top, width, height);
  past.push({ region, left, top, before, after, bytes: 8 * width * height });
  future = [];
  let bytes = past.reduce((sum, step) => sum + step.bytes, 0);
  while (past.length > STEPS || (bytes > BYTES && past.length > 1)) bytes -= past.shift().bytes;
  changed(region);
}

/** Give the step up. */
export function rollback() {
  if (!stroke) return;
  const { region } = stroke;
  stroke = null;
  region.context.globalCompositeOperation = "copy";
  region.context.drawImage(scratch, 0, 0);
}

/** A step in one go. */
function step(paint) {
  settle();
  const context = begin();
  touch(0, 0, masks.width, masks.height);
  paint(context);
  commit();
}

export function undo() {
  settle();
  if (!past.length) return;
  const last = past.pop();
  future.push(last);
  last.region.context.putImageData(last.before, last.left, last.top);
  changed(last.region);
}

export function redo() {
  settle();
  if (!future.length) return;
  const next = future.pop();
  past.push(next);
  next.region.context.putImageData(next.after, next.left, next.top);
  changed(next.region);
}

export function clear() {
  step((context) => context.clearRect(0, 0, masks.width, masks.height));
}

export function invert() {
  step((context) => {
    context.globalCompositeOperation = "xor";
    context.fillRect(0, 0, masks.width, masks.height);
  });
}

/** The selected region becomes what is light in a picture of the same size, as the service reads it. What is wrong with
 * the picture; "" if it was taken. */
export function take(bitmap) {
  if (bitmap.width !== masks.width || bitmap.height !== masks.height) {
    return `This mask is ${bitmap.width}x${bitmap.height}, the picture is ${masks.width}x${masks.height}.`;
  }
  const helper = new OffscreenCanvas(masks.width, masks.height).getContext("2d");
  helper.drawImage(bitmap, 0, 0);
  const image = helper.getImageData(0, 0, masks.width, masks.height);
  const { data } = image;
  const luminance = (i) => (data[i + 3] < 128 ? 0 : (299 * data[i] + 587 * data[i + 1] + 114 * data[i + 2]) / 1000);
  let highest = 0;
  for (let i = 0; i < data.length; i += 4) highest = Math.max(highest, luminance(i));
  // A mask of the values 0 and 1 alone is black and white.
  const least = highest === 1 ? 1 : 128;
  if (highest < least) {
    const seen = `its luminance is at most ${Math.floor(highest)} of 255, and 128 or more counts as selected`;
    return `This mask selects nothing: ${seen}. Paint white what to edit.`;
  }
  const [red, green, blue] = rgb(current().colour);
  for (let i = 0; i < data.length; i += 4) data.set([red, green, blue, luminance(i) >= least ? 255 : 0], i);
  step((context) => context.putImageData(image, 0, 0));
  return "";
}

/** The mask that is sent: a PNG of the picture's size, white where the edit may change something, else black. */
export async function toPng(region) {
  const canvas = new OffscreenCanvas(masks.width, masks.height);
  const context = canvas.getContext("2d");
  const image = region.context.getImageData(0, 0, masks.width, masks.height);
  const pixels = new Uint32Array(image.data.buffer);
  // Little-endian ABGR, as on every machine with a browser.
  for (let i = 0; i < pixels.length; i += 1) pixels[i] = pixels[i] >>> 24 >= 128 ? 0xffffffff : 0xff000000;
  context.putImageData(image, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

function changed(region) {
  const { data } = region.context.getImageData(0, 0, masks.width, masks.height);
  let count = 0;
  for (let i = 3; i < data.length; i += 4) count += Number(data[i] >= 128);
  region.share = count / (masks.width * masks.height);
  emit("painted");
}

function rgb(colour) {
  return [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
}
