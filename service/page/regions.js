// The list of regions: which one is painted, its words, its share of the picture.

import { byId, h } from "./dom.js";
import * as masks from "./masks.js";
import { emit, on } from "./state.js";

/** Wire the list. */
export function setUp() {
  byId("region-add").addEventListener("click", () => {
    masks.addRegion();
    byId("regions").querySelector("li:last-child input[type=text]").focus();
  });
  on("regions", render);
  on("painted", shares);
}

function render() {
  const { regions, selected } = masks.masks;
  byId("regions").replaceChildren(
    ...regions.map((region, number) =>
      h(
        "li",
        { class: number === selected ? "selected" : null, "data-field": fieldOf(number) },
        h(
          "label",
          { class: "pick" },
          h("input", {
            type: "radio",
            name: "region",
            checked: number === selected,
            onchange: () => pick(number),
          }),
          swatch(region),
          `Region ${number + 1}`,
        ),
        h("span", { class: "share muted" }, share(region)),
        h("input", {
          type: "text",
          value: region.words,
          placeholder: "words: those that are new",
          "aria-label": `Words of region ${number + 1}, with commas between them`,
          "aria-describedby": "words-hint",
          autocomplete: "off",
          oninput: (event) => {
            region.words = event.target.value;
            emit("words");
          },
        }),
        regions.length > 1 &&
          h(
            "button",
            {
              type: "button",
              class: "quiet",
              "aria-label": `Remove region ${number + 1}`,
              onclick: () => {
                masks.removeRegion(number);
                byId("region-add").focus();
              },
            },
            "Remove",
          ),
      ),
    ),
  );
  emit("words");
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
  if (!value) return "nothing painted";
  return value < 0.001 ? "less than 0.1 %" : `${(value * 100).toFixed(1)} %`;
}

function swatch({ colour }) {
  const element = h("span", { class: "swatch" });
  element.style.background = colour;
  return element;
}
