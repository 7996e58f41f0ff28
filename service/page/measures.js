// What was measured: per region the ratios of its words, then what the edit cost.

import { duration, h } from "./dom.js";

/** The tables of a finished edit. */
export function table(edit, number) {
  const { measures } = edit;
  if (!measures) return "";
  // Of several results each has its own; what belongs to the edit is of them all.
  const own = measures.results?.[number] ?? {};
  const unguided = number === 0 ? measures.unguided : null;
  return h("div", { class: "measures" }, ratios({ ...measures, ...own, unguided }), cost(edit, number));
}

function ratios({ words, unguided, before, after }) {
  if (!after.length) return "";
  const first = unguided ?? before;
  const head = unguided ? "without guidance" : "before each step’s updates";
  const rows = after.flatMap((region, n) =>
    ["token", "spatial"].map((kind) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, `${(words[n] ?? []).join(", ") || `region ${n + 1}`}: ${kind} ratio`),
        h("td", {}, number(first[n]?.[kind])),
        h("td", {}, number(region[kind])),
        h("td", {}, first[n]?.[kind] ? `× ${(region[kind] / first[n][kind]).toFixed(1)}` : ""),
      ),
    ),
  );
  const columns = ["Inside the mask", head, "with guidance", ""].map((text) => h("th", { scope: "col" }, text));
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": "Ratios" },
    h(
      "table",
      {},
      h("caption", {}, "Share of attention that the words win inside the mask"),
      h("thead", {}, h("tr", {}, ...columns)),
      h("tbody", {}, ...rows),
    ),
  );
}

function cost({ timings, seed, request, attempt, measures, results }, number) {
  const passes = measures.unet_forward + measures.unet_truncated_forward + measures.unet_backward;
  const stages = Object.entries(measures.stage_seconds).map(([stage, seconds]) => `${stage} ${duration(seconds)}`);
  const facts = [
    ["Largest change outside the dilated mask", `${measures.outside_difference} of 255 levels`],
    ["The unedited picture, as the model gives it back inside the mask", reconstruction(measures.reconstruction)],
    ["UNet passes", `${passes} (${measures.unet_backward} of them backward)`],
    ["Time", `${duration(timings.running_s ?? 0)}: ${stages.join(", ")}`],
    ["Model", request.model],
    ["Method", `${request.config.method}, ${request.config.constraint}, ${request.config.steps} steps`],
    ["Strength", results[number].strength],
    ["Seed", results[number].seed ?? seed],
    ["Inversion", measures.inversion_reused ? "reused" : null],
    ["Attempts", attempt > 1 ? attempt : null],
  ].filter(([, value]) => value !== null && value !== undefined);
  return h("dl", {}, ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]));
}

function reconstruction(of) {
  if (!of) return null;
  return `${of.vae.toFixed(1)} dB through the VAE, ${of.inversion.toFixed(1)} dB through the inversion`;
}

function number(value) {
  return value === undefined ? "" : value.toFixed(3);
}
