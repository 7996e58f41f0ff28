// The pictures that show why an edit worked.

import { picture } from "./api.js";
import { h } from "./dom.js";

const CAPTIONS = [
  [/^overview/, () => "Overview"],
  [/^attention-before-(\d+)/, (n) => `Region ${n + 1}: where its words look without guidance`],
  [/^attention-after-(\d+)/, (n) => `Region ${n + 1}: where its words look with guidance`],
  [/^attention-steps-(\d+)/, (n) => `Region ${n + 1}: without and with guidance, over the steps`],
  [/^trace\./, () => "Ratios and loss over the steps"],
  [/^difference/, () => "Difference, amplified"],
  [/^crop/, () => "The square that was worked on"],
];
const WIDE = /^(overview|attention-steps|trace)/;

/** Figures of the artifacts that are pictures, links to the others. */
export function artifacts(edit) {
  if (!edit.artifacts.length) return "";
  const pictures = edit.artifacts.filter(({ content_type: type }) => type.startsWith("image/"));
  const others = edit.artifacts.filter((file) => !pictures.includes(file));
  return h(
    "section",
    { class: "artifacts", "aria-label": "Why it worked" },
    h("h3", {}, "Why it worked"),
    h("div", { class: "figures" }, ...pictures.sort(byShape).map(figure)),
    others.length ? h("p", { class: "row" }, ...others.map(link)) : null,
  );
}

function byShape(a, b) {
  return WIDE.test(a.name) - WIDE.test(b.name);
}

function figure(file) {
  const caption = captionOf(file.name);
  const image = h("img", { alt: caption, width: file.width, height: file.height, "data-name": file.name });
  const full = h("a", { target: "_blank", rel: "noopener" }, image);
  picture(file.href)
    .then(({ url }) => (image.src = full.href = url))
    .catch(() => full.replaceWith(h("p", { class: "muted" }, "This picture is no longer kept.")));
  return h("figure", { class: WIDE.test(file.name) ? "wide" : null }, full, h("figcaption", {}, caption));
}

function link(file) {
  const anchor = h("a", { download: file.name }, file.name);
  picture(file.href)
    .then(({ url }) => (anchor.href = url))
    .catch(() => anchor.remove());
  return anchor;
}

function captionOf(name) {
  for (const [pattern, caption] of CAPTIONS) {
    const found = pattern.exec(name);
    if (found) return caption(Number(found[1]));
  }
  return name;
}
