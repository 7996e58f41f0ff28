// Elements by id, elements from what they are made of, and the words of index.html.

import { text } from "../strings.js";

/**
 * @template {string} Id
 * @param {Id} id
 * @returns {Id extends keyof PageElements ? PageElements[Id] : HTMLElement}
 */
export const byId = (id) => /** @type {any} */ (document.getElementById(id));

const SVG = "http://www.w3.org/2000/svg";

/** An element: `on...` are listeners, true and false set and leave out an attribute, the rest are attributes. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** One of the icons of vendor/icons.svg, for the eye alone. */
export function icon(name) {
  const use = svg("use", { href: `/page/vendor/icons.svg#${name}` });
  return svg("svg", { class: "glyph", "aria-hidden": "true", width: 18, height: 18 }, use);
}

/** Put words and icons where index.html asks for them. */
export function localise() {
  for (const element of document.body.querySelectorAll("*")) {
    for (const { name, value } of [...element.attributes]) {
      if (name === "data-text") element.append(textAt(value));
      else if (name === "data-icon") element.prepend(icon(value));
      else if (name.startsWith("data-text-")) element.setAttribute(name.slice("data-text-".length), textAt(value));
    }
  }
}

/** `stage.title` of the strings. */
export function textAt(path) {
  return path.split(".").reduce((part, key) => part[key], text);
}

/** Text with `code` between backticks, as the contract's descriptions have it. */
export function prose(words) {
  return words.split("`").map((part, n) => (n % 2 ? h("code", {}, part) : part));
}

/** Say something to who cannot see it. */
export function announce(said) {
  byId("announcer").textContent = said;
}

/** Seconds as a person says them. */
export function duration(seconds) {
  if (seconds < 90) return text.units.seconds(Math.max(1, Math.round(seconds)));
  if (seconds < 5400) return text.units.minutes(Math.round(seconds / 60));
  return text.units.hours((seconds / 3600).toFixed(1));
}

/** Save a blob as a file. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
