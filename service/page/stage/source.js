// Where the picture comes from: a file (chosen, dropped, pasted), an edit of the demo, the result of an edit.

import { json, picture } from "../shared/api.js";
import { byId, h } from "../shared/dom.js";
import { atField, clear, show } from "../shared/errors.js";
import { emit, state } from "../shared/state.js";
import { text } from "../strings.js";
import { note } from "./document.js";
import * as masks from "./masks.js";
import { asOne } from "./undo.js";

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

/** A picture to edit from its file: {blob, url, width, height, ...rest}. Throws where it cannot be read. */
export async function read(blob, rest) {
  const bitmap = await decode(blob);
  const { width, height } = bitmap;
  const upright = await asDrawn(blob, bitmap);
  bitmap.close();
  return { ...rest, blob: upright, url: URL.createObjectURL(upright), width, height };
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
    const source = await read(file, { name: file.name || "image.png" });
    asOne(() => use(source));
  } catch {
    atField("image", text.errors.imageFile(file.name));
  }
}

/** Go on from result `number` of an edit that has succeeded. */
export async function loadResult(edit, number) {
  const { blob } = await picture(edit.results[number].href);
  const source = await read(blob, { name: text.source.resultOf(edit.id.slice(-6)), edit: edit.id, result: number });
  asOne(() => {
    use(source);
    emit("prompts", { source: edit.request.target_prompt, target: edit.request.target_prompt });
    note();
  });
}

/** Edit this picture, with an empty mask. */
function use(source) {
  clear();
  state.source = source;
  masks.reset(source.width, source.height);
  masks.setFeather(0);
  emit("source");
  note();
  byId("top").scrollIntoView({ block: "nearest" });
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
    byId("presets").append(h("h3", {}, text.source.scenes), h("div", { class: "row" }, ...buttons));
    byId("presets").hidden = false;
  } catch (error) {
    show(error);
  }
}

async function loadPreset(preset) {
  const [image, mask] = await Promise.all([picture(preset.image), picture(preset.mask)]);
  const [source, area] = await Promise.all([
    read(image.blob, { name: `${preset.name}.png`, isDemo: true }),
    decode(mask.blob),
  ]);
  asOne(() => {
    use(source);
    masks.take(area);
    masks.current().words = preset.words.join(", ");
    emit("regions");
    emit("prompts", { source: preset.source_prompt, target: preset.target_prompt });
    note();
  });
  byId("stage").focus({ preventScroll: true });
}
