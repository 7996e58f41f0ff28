// The list of regions: which one is painted, whether it is shown, its words, its share of the picture.

import { byId, h, icon } from "../shared/dom.js";
import { emit, on } from "../shared/state.js";
import * as masks from "../stage/masks.js";
import { text } from "../strings.js";

/** Wire the list. */
export function setUp() {
  byId("region-add").addEventListener("click", () => {
    masks.addRegion();
    emit("note");
    byId("regions").querySelector("li:last-child input[type=text]").focus();
  });
  on("regions", render);
  on("painted", shares);
  render();
}

function render() {
  const { regions, selected } = masks.masks;
  byId("regions-field").hidden = !regions.length;
  byId("regions").replaceChildren(
    ...regions.map((region, number) =>
      h(
        "li",
        { class: number === selected ? "selected" : null, "data-field": fieldOf(number) },
        h(
          "label",
          { class: "pick" },
          h("input", { type: "radio", name: "region", checked: number === selected, onchange: () => pick(number) }),
          swatch(region),
          text.regions.name(number + 1),
        ),
        h("span", { class: "share muted" }, share(region)),
        toggle(region, number),
        regions.length > 1 && remover(number),
        h("input", {
          type: "text",
          value: region.words,
          placeholder: text.regions.words,
          "aria-label": text.regions.wordsOf(number + 1),
          "aria-describedby": "words-hint",
          autocomplete: "off",
          oninput: (event) => {
            region.words = event.target.value;
            emit("words");
          },
        }),
      ),
    ),
  );
  emit("words");
}

function toggle(region, number) {
  const label = region.isHidden ? text.regions.show(number + 1) : text.regions.hide(number + 1);
  const onclick = () => {
    region.isHidden = !region.isHidden;
    emit("regions");
    emit("note");
    byId("regions").querySelectorAll(".eye")[number].focus();
  };
  const button = h("button", { type: "button", class: "quiet icon eye", "aria-label": label, title: label, onclick });
  button.append(icon(region.isHidden ? "eye-off" : "eye"));
  return button;
}

function remover(number) {
  const label = text.regions.remove(number + 1);
  const onclick = () => {
    masks.removeRegion(number);
    emit("note");
    byId("region-add").focus();
  };
  const button = h("button", { type: "button", class: "quiet icon", "aria-label": label, title: label, onclick });
  button.append(icon("x"));
  return button;
}

/** Errors of a single region's words come as `words`, those of several as `regions.0.words`. */
function fieldOf(number) {
  return masks.masks.regions.length > 1 ? `regions.${number}` : "words";
}

function pick(number) {
  masks.select(number);
  byId("regions").querySelectorAll("[name=region]")[number].focus();
}

function shares() {
  byId("regions")
    .querySelectorAll(".share")
    .forEach((element, number) => (element.textContent = share(masks.masks.regions[number])));
}

function share({ share: value }) {
  if (!value) return text.regions.empty;
  return value < 0.001 ? text.regions.little : text.units.percent((value * 100).toFixed(1));
}

function swatch({ colour }) {
  const element = h("span", { class: "swatch" });
  element.style.background = colour;
  return element;
}
