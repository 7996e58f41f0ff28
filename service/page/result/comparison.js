// Methods and strengths side by side: an edit per method, with a result per strength, all as the form says otherwise.

import { choices, parameters, parametersOf } from "../ask/settings.js";
import { busy, send } from "../ask/submit.js";
import { call, json, picture } from "../shared/api.js";
import { announce, byId, h } from "../shared/dom.js";
import { atField, plain, show } from "../shared/errors.js";
import { emit, on, state } from "../shared/state.js";
import { text } from "../strings.js";
import { follow, isOver } from "./follow.js";
import { bars } from "./measures.js";
import { goToStage, open } from "./result.js";

const TICKED = 3; // of the first methods, at first
const MOST = 8; // strengths
const ADDRESS = /^#compare=([0-9a-f]{32}(?:,[0-9a-f]{32})*)$/;

let watching = new AbortController();
let shown = [];
let asked = 0; // how often a comparison was to be shown: a late answer to an earlier wish is dropped

/** Wire the panel, and the address: `#compare=ID,ID` shows a comparison. */
export function setUp() {
  byId("compare").addEventListener("click", submit);
  byId("compare-cancel").addEventListener("click", cancel);
  byId("strengths").addEventListener("input", count);
  on("models", offer);
  on("key", () => {
    close();
    fromAddress();
  });
  window.addEventListener("hashchange", fromAddress);
  fromAddress();
}

function offer() {
  const model = state.models.get(state.defaultModel);
  const methods = choices("method").filter((name) => !model || model.methods.includes(name));
  const all = methods.flatMap((name) => (isSwept(name) ? choices("constraint").map((each) => `${name} ${each}`) : [name]));
  // The default method in each of its ways, and the next method as what it improves on.
  const first = new Set(all.filter((value) => !value.endsWith(` ${choices("constraint").at(-1)}`)).slice(0, TICKED));
  const before = new Map([...byId("variants").querySelectorAll("input")].map(({ value, checked }) => [value, checked]));
  const tick = (value) => {
    const checked = before.get(value) ?? first.has(value);
    return h("label", { class: "tick" }, h("input", { type: "checkbox", value, checked, onchange: count }), value);
  };
  byId("variants").replaceChildren(...all.map(tick));
  count();
}

const variants = () => [...byId("variants").querySelectorAll("input:checked")].map(({ value }) => value.split(" "));

function strengths() {
  const values = byId("strengths").value.split(",").map((text) => text.trim()).filter(Boolean).map(Number);
  return values.length && values.length <= MOST && values.every((value) => value >= 0 && value <= 1) ? values : null;
}

function count() {
  const picked = variants();
  const results = picked.reduce((sum, [name]) => sum + (isSwept(name) ? (strengths()?.length ?? 0) : 1), 0);
  byId("compare-count").textContent = picked.length ? text.compare.count(picked.length, results) : text.compare.choose;
}

/** Whether strengths make a difference to a method, and so the constraints that they push. */
function isSwept(name) {
  return state.methods.get(name)?.parameters.includes("sweep") ?? false;
}

function submit() {
  return busy(byId("compare"), async () => {
    const swept = strengths();
    if (!swept) {
      atField("strengths", text.compare.wrong(MOST));
      byId("strengths").focus();
      return;
    }
    if (!variants().length) return;
    const edits = [];
    try {
      for (const [method, constraint] of variants()) {
        const own = [["method", method], ["artifacts", "trace"]];
        if (constraint) own.push(["constraint", constraint], ...swept.map((value) => ["sweep", String(value)]));
        edits.push(await send(own, unread(method)));
      }
    } finally {
      // What was accepted before another was refused is shown all the same.
      if (edits.length) {
        announce(text.compare.accepted);
        history.replaceState(null, "", `#compare=${edits.map(({ id }) => id).join(",")}`);
        start(edits);
        byId("comparison-title").focus();
      }
    }
  });
}

/** The parameters that a method does not use: some would be rejected, the others ignored. */
function unread(method) {
  const used = parametersOf(method);
  return [...parameters()].filter((each) => !used.has(each));
}

async function cancel() {
  byId("compare-cancel").disabled = true;
  for (const edit of shown.filter((each) => !isOver(each))) {
    try {
      await call(edit.links.cancel, { method: "PUT" });
    } catch (error) {
      // 409: it was over before it could be stopped.
      if (error.problem?.status === 409) continue;
      byId("compare-cancel").disabled = false;
      show(error);
    }
  }
}

async function fromAddress() {
  const ids = ADDRESS.exec(location.hash)?.[1].split(",");
  if (!ids || ids.join() === shown.map(({ id }) => id).join()) return;
  const turn = (asked += 1);
  try {
    const edits = await Promise.all(ids.map((id) => json(`/v1/edits/${id}`)));
    if (turn === asked) start(edits.filter(({ request }) => request));
  } catch (error) {
    if (turn === asked) show(error);
  }
}

/** Show no comparison. */
function close() {
  asked += 1;
  watching.abort();
  shown = [];
  byId("comparison").hidden = true;
  byId("grid").replaceChildren();
}

async function start(edits) {
  asked += 1;
  watching.abort();
  watching = new AbortController();
  const { signal } = watching;
  shown = edits;
  byId("comparison").hidden = false;
  byId("compare-cancel").disabled = false;
  render();
  // One after the other, as a browser keeps only a few connections to a host; what is over by then says so at once.
  for (const [n, edit] of edits.entries()) {
    const update = (changed) => {
      if (signal.aborted || !changed) return;
      const grown = changed.state !== shown[n].state;
      shown[n] = changed;
      if (grown) {
        emit("changed", changed);
        render();
      } else advance(n);
    };
    try {
      await follow(edit, update, () => {}, signal);
    } catch (error) {
      if (!signal.aborted) show(error);
    }
    if (signal.aborted) return;
  }
  announce(text.compare.complete);
}

function columns() {
  return [...new Set(shown.flatMap(({ request }) => request.config.sweep ?? []))].sort((a, b) => a - b);
}

function render() {
  byId("compare-cancel").hidden = shown.every(isOver);
  const levels = columns();
  const head = levels.map((value) => h("th", { scope: "col" }, text.result.strength(value)));
  const rows = shown.map((edit, n) =>
    h("tr", {}, h("th", { scope: "row" }, name(edit)), ...cells(edit, n, levels)),
  );
  byId("grid").replaceChildren(
    h("thead", {}, h("tr", {}, h("td", {}), ...(head.length ? head : [h("td", {})]))),
    h("tbody", {}, ...rows),
  );
}

function name({ request: { config } }) {
  return isSwept(config.method) ? [config.method, h("small", {}, config.constraint)] : [config.method];
}

function cells(edit, n, levels) {
  const span = edit.request.config.sweep?.length ? null : Math.max(levels.length, 1);
  if (edit.state !== "succeeded") {
    return [h("td", { colspan: Math.max(levels.length, 1), "data-row": n }, waiting(edit))];
  }
  if (span) return [h("td", { colspan: span }, cell(edit, 0))];
  return levels.map((value) => {
    const number = edit.request.config.sweep.indexOf(value);
    return h("td", {}, number < 0 ? "" : cell(edit, number));
  });
}

function waiting(edit) {
  if (isOver(edit)) return h("p", { class: "muted" }, edit.problem ? plain(edit.problem) : text.states.canceledEdit);
  return h(
    "div",
    { class: "waiting muted" },
    h("progress", { max: 1, value: edit.progress?.fraction ?? 0, "aria-label": text.progress.label }),
    h("span", {}, edit.progress ? text.units.percent(Math.round(100 * edit.progress.fraction)) : text.states.queued),
  );
}

function advance(n) {
  byId("grid").querySelector(`[data-row="${n}"]`)?.replaceChildren(waiting(shown[n]));
}

function cell(edit, number) {
  const image = h("img", { alt: "", width: 160, height: 160 });
  picture(edit.results[number].href)
    .then(({ url }) => (image.src = url))
    .catch(() => {});
  const onclick = () => {
    open(edit, number);
    goToStage();
  };
  return h("button", { type: "button", class: "cell", onclick }, image, bars(edit, number) || h("small", {}, text.open));
}
