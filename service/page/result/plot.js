// Token and spatial ratio over the guided steps, before and after each step's updates, drawn in the page's own colours.

import { h, svg } from "../shared/dom.js";
import { text } from "../strings.js";

const WIDTH = 420;
const HEIGHT = 200;
const EDGE = { left: 46, right: 10, top: 10, bottom: 34 };

/** One figure per ratio; `words` are those of each region. */
export function plot(steps, words) {
  const guided = steps.filter(({ after }) => after.length);
  return guided.length > 1 ? Object.entries(text.plot.kinds).map(([kind, title]) => figure(guided, words, kind, title)) : [];
}

function figure(steps, words, kind, title) {
  const values = steps.flatMap(({ before, after }) => [...before, ...after].map((ratios) => ratios[kind]));
  const top = nice(Math.max(...values, 1e-6));
  const x = (n) => EDGE.left + (n / (steps.length - 1)) * (WIDTH - EDGE.left - EDGE.right);
  const y = (value) => EDGE.top + (1 - value / top) * (HEIGHT - EDGE.top - EDGE.bottom);
  const lines = steps[0].after.flatMap((_, region) =>
    ["before", "after"].map((when) =>
      svg("polyline", {
        class: `${when} line-${region % 4}`,
        points: steps.map((step, n) => `${x(n)},${y((step[when][region] ?? step.after[region])[kind])}`).join(" "),
      }),
    ),
  );
  const levels = [0, 0.5, 1].flatMap((part) => [
    svg("line", { class: "level", x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y(part * top), y2: y(part * top) }),
    svg("text", { x: EDGE.left - 6, y: y(part * top) + 4, "text-anchor": "end" }, String(Number((part * top).toPrecision(2)))),
  ]);
  const ends = [0, steps.length - 1].map((n) =>
    svg("text", { x: x(n), y: HEIGHT - 18, "text-anchor": n ? "end" : "start" }, text.plot.step(steps[n].step + 1)),
  );
  const legend = steps[0].after.flatMap((_, region) => {
    const name = (words[region] ?? []).join(", ") || text.regions.name(region + 1);
    return ["before", "after"].map((when) => h("span", { class: `key ${when} line-${region % 4}` }, `${name}, ${text.plot[when]}`));
  });
  const said = `${title}: ${label(steps, kind)}`;
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": said }, ...levels, ...ends, ...lines);
  return h("figure", { class: "plot" }, h("figcaption", {}, title), drawing, h("div", { class: "row legend" }, ...legend));
}

function label(steps, kind) {
  const [first, last] = [steps[0], steps.at(-1)].map(({ after }) => after[0][kind].toPrecision(2));
  return text.plot.range(first, last);
}

/** The next number of 1, 2, 3, 5 times a power of ten. */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 5, 10].map((factor) => factor * power).find((each) => each >= value);
}
