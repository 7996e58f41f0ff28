// Where the picture comes from: a file (chosen, dropped, pasted), an edit of the demo, the result of an edit.

import { json, picture } from "./api.js";
import { byId, h } from "./dom.js";
import { atField, clear, show } from "./errors.js";
import * as masks from "./masks.js";
import { emit, state } from "./state.js";

/** Wire the ways in. */
export function setUp() {
  const input = byId("image-file");
  for (const button of document.querySelectorAll(".choose-image")) button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    if (input.files[0]) loadFile(input.files[0]);
    input.value = "";
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dragging");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    if (event.dataTransfer.files[0]) loadFile(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    if (event.target.closest?.("textarea, input:not([type=radio], [type=range], [type=checkbox])")) return;
    const file = [...event.clipboardData.files].find(({ type }) => type.startsWith("image/"));
    if (file) loadFile(file);
  });
  offerPresets();
}

/** The picture in `blob`, upright. */
export function decode(blob) {
  return createImageBitmap(blob, { imageOrientation: "from-image" });
}

/** The picture to send, which lies as it was drawn: browsers do not turn WebP by its EXIF, which the service does. */
async function asDrawn(file, bitmap) {
  const head = new Uint8Array(await file.slice(0, 21).arrayBuffer());
  // The flag of metadata in EXIF (WebP container specification, extended file format).
  if (String.fromCharCode(...head.slice(8, 16)) !== "WEBPVP8X" || !(head[20] & 8)) return file;
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return canvas.convertToBlob({ type: "image/webp", quality: 1 });
}

async function loadFile(file) {
  try {
    const bitmap = await decode(file);
    use(bitmap, { blob: await asDrawn(file, bitmap), name: file.name || "image.png" });
  } catch {
    atField("image", `${file.name} cannot be read as a picture; PNG, JPEG and WebP can be edited.`);
  }
}

/** Go on from result `number` of an edit that has succeeded. */
export async function loadResult(edit, number) {
  const { blob } = await picture(edit.results[number].href);
  const name = `the result of ${edit.id.slice(-6)}`;
  use(await decode(blob), { blob, name, edit: edit.id, result: number, history: edit.history });
  emit("prompts", { source: edit.request.target_prompt, target: edit.request.target_prompt });
}

function use(bitmap, rest) {
  clear();
  state.source = { bitmap, width: bitmap.width, height: bitmap.height, ...rest };
  byId("empty").hidden = true;
  byId("work").hidden = false;
  byId("source-name").textContent = `${rest.name}, ${bitmap.width} × ${bitmap.height}`;
  masks.reset(bitmap.width, bitmap.height);
  emit("source", state.source);
}

async function offerPresets() {
  try {
    const { presets } = await json("/page/presets.json");
    if (!presets.length) return;
    const buttons = presets.map((preset) =>
      h(
        "button",
        { type: "button", class: "preset", onclick: () => loadPreset(preset).catch(show) },
        h("img", { src: preset.image, alt: "", width: 96, height: 96 }),
        h("span", {}, preset.name),
      ),
    );
    byId("presets").append(h("h3", {}, "or one of the demo’s rooms"), h("div", { class: "row" }, ...buttons));
    byId("presets").hidden = false;
  } catch (error) {
    show(error);
  }
}

async function loadPreset(preset) {
  const [image, mask] = await Promise.all([picture(preset.image), picture(preset.mask)]);
  use(await decode(image.blob), { blob: image.blob, name: `${preset.name}.png` });
  masks.take(await decode(mask.blob));
  masks.current().words = preset.words.join(", ");
  emit("regions");
  emit("prompts", { source: preset.source_prompt, target: preset.target_prompt });
  byId("stage").focus({ preventScroll: true });
}
