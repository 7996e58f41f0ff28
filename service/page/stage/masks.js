// The regions: each is a canvas of the picture's size, painted in its colour where the edit may change something.

import { emit } from "../shared/state.js";
import { text } from "../strings.js";
import * as undo from "./undo.js";

const COLOURS = ["#2f86eb", "#e4572e", "#17a673", "#b84be0", "#d99a00", "#00a0a5", "#9a6a3a", "#e0457b"];

/** `feather`: over how many pixels the edge of the masks fades when they are sent. */
export const masks = { regions: [], selected: 0, width: 0, height: 0, feather: 0 };

let stroke = null;
const scratch = document.createElement("canvas");

export const current = () => masks.regions[masks.selected];

/** What is being painted ends before anything else happens to the regions. */
export const settle = () => emit("settle");

/** Start over on a picture of this size, with one empty region. */
export function reset(width, height) {
  restore([], 0, width, height);
  addRegion();
}

/** Take these regions, as they are, on a picture of this size. */
export function restore(regions, selected, width, height) {
  settle();
  Object.assign(masks, { regions: [...regions], selected, width, height });
  scratch.width = width;
  scratch.height = height;
  stroke = null;
  emit("regions");
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
  masks.regions.push({ colour, canvas, context, words: "", isHidden: false, share: 0, version: 0 });
  masks.selected = masks.regions.length - 1;
  emit("regions");
}

export function removeRegion(number) {
  settle();
  masks.regions.splice(number, 1);
  masks.selected = Math.min(masks.selected, masks.regions.length - 1);
  emit("regions");
}

export function select(number) {
  settle();
  masks.selected = number;
  emit("regions");
}

/** Begin a step on the selected region: its context, ready to paint in its colour. A hidden one is shown again. */
export function begin() {
  // What was typed before is a step of its own.
  emit("note");
  const region = current();
  const copy = scratch.getContext("2d", { willReadFrequently: true });
  copy.clearRect(0, 0, masks.width, masks.height);
  copy.drawImage(region.canvas, 0, 0);
  stroke = { region, box: null };
  if (region.isHidden) {
    region.isHidden = false;
    emit("regions");
  }
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

/** End the step and keep the changed rectangle, as it was and as it became, for undo. */
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
  const put = (data) => {
    region.context.putImageData(data, left, top);
    changed(region);
  };
  undo.push({ undo: () => put(before), redo: () => put(after), bytes: 8 * width * height });
  changed(region);
}

/** Give the step up. */
export function rollback() {
  if (!stroke) return;
  const { region } = stroke;
  stroke = null;
  region.context.globalCompositeOperation = "copy";
  region.context.drawImage(scratch, 0, 0);
  emit("stroke");
}

/** A step in one go. */
function step(paint) {
  settle();
  const context = begin();
  touch(0, 0, masks.width, masks.height);
  paint(context);
  commit();
}

export function clear() {
  step((context) => context.clearRect(0, 0, masks.width, masks.height));
}

export function invert() {
  step(turnOver);
}

/** Add `pixels` all around. */
export function grow(pixels) {
  step((context) => spread(context, pixels));
}

/** Take `pixels` away all around. */
export function shrink(pixels) {
  step((context) => {
    turnOver(context);
    spread(context, pixels);
    turnOver(context);
  });
}

function turnOver(context) {
  context.globalCompositeOperation = "xor";
  context.fillRect(0, 0, masks.width, masks.height);
}

/** Dilate: shifts by 1, 2, 4, ... in eight directions add up to an octagon of the wanted radius. */
function spread(context, pixels) {
  const copy = new OffscreenCanvas(masks.width, masks.height);
  const source = copy.getContext("2d");
  context.globalCompositeOperation = "source-over";
  for (let left = pixels, far = 1; left > 0; left -= far, far = Math.min(2 * far, left)) {
    source.globalCompositeOperation = "copy";
    source.drawImage(context.canvas, 0, 0);
    const slant = Math.round(far * Math.SQRT1_2);
    for (const [x, y] of [[far, 0], [-far, 0], [0, far], [0, -far]]) context.drawImage(copy, x, y);
    for (const [x, y] of [[1, 1], [1, -1], [-1, 1], [-1, -1]]) context.drawImage(copy, x * slant, y * slant);
  }
}

/** The selected region becomes what is light in a picture of the same size, as the service reads it. What is wrong with
 * the picture; "" if it was taken. */
export function take(bitmap) {
  if (bitmap.width !== masks.width || bitmap.height !== masks.height) {
    return text.errors.maskSize(bitmap, masks);
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
  if (highest < least) return text.errors.maskDark(Math.floor(highest));
  const [red, green, blue] = rgb(current().colour);
  for (let i = 0; i < data.length; i += 4) data.set([red, green, blue, luminance(i) >= least ? 255 : 0], i);
  step((context) => context.putImageData(image, 0, 0));
  return "";
}

/** Set the feather, in pixels. */
export function setFeather(pixels) {
  masks.feather = pixels;
  emit("feather");
}

/** The selected region as it is. */
export function copy() {
  const kept = new OffscreenCanvas(masks.width, masks.height);
  kept.getContext("2d").drawImage(current().canvas, 0, 0);
  return kept;
}

/** The selected region becomes what it was in a copy, with what is white in `bitmap`. */
export function put(kept, bitmap) {
  const helper = new OffscreenCanvas(masks.width, masks.height).getContext("2d");
  helper.drawImage(bitmap, 0, 0);
  const image = helper.getImageData(0, 0, masks.width, masks.height);
  const [red, green, blue] = rgb(current().colour);
  for (let i = 0; i < image.data.length; i += 4) image.data.set([red, green, blue, image.data[i] >= 128 ? 255 : 0], i);
  step((context) => {
    context.putImageData(image, 0, 0);
    context.drawImage(kept, 0, 0);
  });
}

/** The mask that is sent: a PNG of the picture's size, white where the edit may change something, else black; with a
 * feather grey between them. */
export async function toPng(region, feather = 0) {
  const { width, height } = region.canvas;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const image = region.context.getImageData(0, 0, width, height);
  const pixels = new Uint32Array(image.data.buffer);
  // Little-endian ABGR, as on every machine with a browser.
  for (let i = 0; i < pixels.length; i += 1) pixels[i] = pixels[i] >>> 24 >= 128 ? 0xffffffff : 0xff000000;
  context.putImageData(image, 0, 0);
  return (feather ? feathered(canvas, feather) : canvas).convertToBlob({ type: "image/png" });
}

/** Blurred, as if the picture went on beyond its border as it ends there. */
function feathered(canvas, feather) {
  const { width, height } = canvas;
  const far = 2 * feather;
  const wide = new OffscreenCanvas(width + 2 * far, height + 2 * far);
  const beyond = wide.getContext("2d");
  beyond.drawImage(canvas, far, far);
  beyond.drawImage(canvas, 0, 0, 1, height, 0, far, far, height);
  beyond.drawImage(canvas, width - 1, 0, 1, height, far + width, far, far, height);
  beyond.drawImage(wide, 0, far, wide.width, 1, 0, 0, wide.width, far);
  beyond.drawImage(wide, 0, far + height - 1, wide.width, 1, 0, far + height, wide.width, far);
  const blurred = new OffscreenCanvas(width, height);
  const context = blurred.getContext("2d");
  context.filter = `blur(${feather / 2}px)`;
  context.drawImage(wide, -far, -far);
  return blurred;
}

function changed(region) {
  const { canvas, context } = region;
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let i = 3; i < data.length; i += 4) count += Number(data[i] >= 128);
  region.share = count / (canvas.width * canvas.height);
  region.version += 1;
  emit("painted");
}

function rgb(colour) {
  return [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
}
