// Before and after in one frame with a line to move, the difference of the two, and the picture's own size.

import { h } from "./dom.js";

const GAIN = 4; // of the difference, so that small ones are seen
const SMALL = 640; // longest side in pixels up to which a picture is shown enlarged

/** The comparison of two blobs; without `before`, the result alone. */
export async function compare(before, after) {
  const result = await createImageBitmap(after);
  const source = before ? await createImageBitmap(before, { imageOrientation: "from-image" }) : null;
  const comparable = source && source.width === result.width && source.height === result.height;
  const frame = h("div", { class: "frame" });
  frame.style.setProperty("--width", `${result.width}px`);
  frame.style.setProperty("--shown", `${enlarged(result)}px`);
  frame.style.aspectRatio = `${result.width} / ${result.height}`;
  frame.append(painted(result, "after", "The result"));
  if (!comparable) {
    const text = "The picture that was sent is not in this browser: there is nothing to compare with.";
    return h("div", { class: "compare" }, frame, h("p", { class: "muted" }, text));
  }
  const range = h("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": "Share of the picture before" });
  const old = painted(source, "before", "The picture before");
  const set = () => {
    frame.style.setProperty("--at", `${range.value}%`);
    range.setAttribute("aria-valuetext", `${range.value} % before, ${100 - range.value} % after`);
  };
  range.addEventListener("input", set);
  set();
  frame.append(old, h("span", { class: "handle", "aria-hidden": "true" }), range);
  frame.append(h("span", { class: "tag left" }, "before"), h("span", { class: "tag right" }, "after"));
  const { canvas, share } = difference(source, result);
  frame.append(canvas);
  const text = h("p", { class: "muted" });
  return h("div", { class: "compare" }, views(frame, text, share), h("div", { class: "scroll" }, frame), text);
}

function views(frame, text, share) {
  const changed = `${(share * 100).toFixed(1)} % of the pixels changed; the difference is shown ${GAIN} times amplified.`;
  const difference = toggle("Difference", (on) => {
    frame.classList.toggle("difference", on);
    text.textContent = on ? changed : "";
  });
  const size = toggle("Actual size", (on) => frame.classList.toggle("actual", on));
  return h("div", { class: "row" }, difference, size);
}

function toggle(label, listener) {
  const button = h("button", { type: "button", "aria-pressed": "false" }, label);
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    listener(on);
  });
  return button;
}

/** Width in CSS pixels: small pictures enlarged to a whole multiple. */
function enlarged({ width, height }) {
  return width * Math.max(1, Math.floor(SMALL / Math.max(width, height)));
}

function painted(bitmap, name, label) {
  const canvas = h("canvas", { class: name, width: bitmap.width, height: bitmap.height, role: "img", "aria-label": label });
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return canvas;
}

function difference(source, result) {
  const [a, b] = [source, result].map((bitmap) => {
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, bitmap.width, bitmap.height);
  });
  let changed = 0;
  for (let i = 0; i < b.data.length; i += 4) {
    let any = 0;
    for (let k = i; k < i + 3; k += 1) {
      const apart = Math.abs(a.data[k] - b.data[k]);
      any |= apart;
      b.data[k] = apart * GAIN;
    }
    b.data[i + 3] = 255;
    if (any) changed += 1;
  }
  const attributes = { width: b.width, height: b.height, role: "img", "aria-label": "What changed", class: "apart" };
  const canvas = h("canvas", attributes);
  canvas.getContext("2d").putImageData(b, 0, 0);
  return { canvas, share: changed / (b.width * b.height) };
}
