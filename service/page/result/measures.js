// What was measured: per region the ratios of its words, as bars and as a table, then what the edit cost.

import { duration, h } from "../shared/dom.js";
import { text } from "../strings.js";

/** The ratios of a result's first region as two bars, for a grid of results; "" where none were measured. */
export function bars({ measures }, number) {
  const after = (measures?.results?.[number] ?? measures)?.after?.[0];
  if (!after) return "";
  const bar = (kind) => {
    const value = Math.min(Math.max(after[kind], 0), 1);
    const label = text.measures.bar(kind, after[kind].toFixed(2));
    return h("meter", { min: 0, max: 1, value, title: label, "aria-label": label, class: kind });
  };
  return h("span", { class: "bars" }, bar("token"), bar("spatial"));
}

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
  const rows = after.flatMap((region, n) =>
    ["token", "spatial"].map((kind) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, text.measures.ratio((words[n] ?? []).join(", ") || text.regions.name(n + 1), kind)),
        h("td", {}, number(first[n]?.[kind])),
        h("td", {}, number(region[kind])),
        h("td", {}, first[n]?.[kind] ? `× ${(region[kind] / first[n][kind]).toFixed(1)}` : ""),
      ),
    ),
  );
  const head = unguided ? text.measures.unguided : text.measures.before;
  const columns = ["", head, text.measures.after, ""].map((words) => h("th", { scope: "col" }, words));
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": text.measures.title },
    h(
      "table",
      {},
      h("caption", {}, text.measures.title),
      h("thead", {}, h("tr", {}, ...columns)),
      h("tbody", {}, ...rows),
    ),
  );
}

function cost({ timings, seed, request, attempt, measures, results }, number) {
  const passes = measures.unet_forward + measures.unet_truncated_forward + measures.unet_backward;
  const stages = Object.entries(measures.stage_seconds).map(
    ([stage, seconds]) => `${text.progress.stages[stage] ?? stage} ${duration(seconds)}`,
  );
  const { config } = request;
  const names = text.measures.facts;
  const facts = [
    [names.outside, text.measures.levels(measures.outside_difference)],
    [names.reconstruction, reconstruction(measures.reconstruction)],
    [names.passes, text.measures.passes(passes, measures.unet_backward)],
    [names.time, `${duration(timings.running_s ?? 0)}: ${stages.join(", ")}`],
    [names.model, request.model],
    [names.method, text.measures.method(config)],
    [names.strength, results[number].strength],
    [names.seed, results[number].seed ?? seed],
    [names.inversion, measures.inversion_reused ? text.measures.reused : null],
    [names.attempts, attempt > 1 ? attempt : null],
  ].filter(([, value]) => value !== null && value !== undefined);
  return h("dl", {}, ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]));
}

function reconstruction(of) {
  return of ? text.measures.decibels(of.vae.toFixed(1), of.inversion.toFixed(1)) : null;
}

function number(value) {
  return value === undefined ? "" : value.toFixed(3);
}
