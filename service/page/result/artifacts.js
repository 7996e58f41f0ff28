// The pictures that show where the words looked.

import { call, picture } from "../shared/api.js";
import { h } from "../shared/dom.js";
import { show } from "../shared/errors.js";
import { text } from "../strings.js";
import { plot } from "./plot.js";

/** @type {[RegExp, (n: number) => string][]} */
const CAPTIONS = [
  [/^attention-before-(\d+)/, text.attention.without],
  [/^attention-after-(\d+)/, text.attention.with],
  [/^attention-steps-(\d+)/, text.attention.steps],
  [/^difference/, () => text.attention.difference],
  [/^crop/, () => text.attention.crop],
];
const WIDE = /attention-steps/;

/** Figures of what a result's artifacts show, links to all of them. */
export function artifacts(edit, number) {
  const own = edit.artifacts.filter(({ name }) => Number(/^result-(\d+)-/.exec(name)?.[1] ?? 0) === number);
  if (!own.length) return "";
  const figures = own.filter(({ name }) => captionOf(name)).sort(byShape);
  const trace = own.find(({ name }) => name.endsWith("trace.json"));
  const plots = h("div", { class: "figures plots" });
  if (trace) {
    call(`${trace.href}?redirect=false`)
      .then((response) => response.json())
      .then((steps) => plots.append(...plot(steps, edit.measures.words)))
      .catch(() => plots.remove());
  }
  return h(
    "section",
    { class: "artifacts", "aria-label": text.attention.title },
    h("h3", {}, text.attention.title),
    h("div", { class: "figures" }, ...figures.map(figure)),
    trace ? plots : null,
    h("p", { class: "row muted" }, text.attention.files, ...own.map(saver)),
  );
}

function byShape(a, b) {
  return Number(WIDE.test(a.name)) - Number(WIDE.test(b.name));
}

function figure(file) {
  const caption = captionOf(file.name);
  const image = h("img", { alt: caption, width: file.width, height: file.height, "data-name": file.name });
  const full = h("a", { target: "_blank", rel: "noopener" }, image);
  const wide = WIDE.test(file.name);
  picture(file.href)
    .then(({ url }) => (image.src = full.href = url))
    .catch(() => full.replaceWith(h("p", { class: "muted" }, text.attention.gone)));
  const shown = wide ? h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, full) : full;
  return h("figure", { class: wide ? "wide" : null }, h("figcaption", {}, caption), shown);
}

/** A button that fetches the file, which not everybody wants, and saves it. */
function saver({ href, name }) {
  const save = async () => {
    try {
      h("a", { href: (await picture(href)).url, download: name }).click();
    } catch (error) {
      show(error);
    }
  };
  return h("button", { type: "button", class: "quiet", onclick: save }, name);
}

function captionOf(name) {
  for (const [pattern, caption] of CAPTIONS) {
    const found = pattern.exec(name.replace(/^result-\d+-/, ""));
    if (found) return caption(Number(found[1]));
  }
  return null;
}
