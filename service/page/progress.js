// How far an edit is: place in line, stage, step, time left; and the way to stop it.

import { call } from "./api.js";
import { announce, byId, duration, h } from "./dom.js";
import { show } from "./errors.js";

const STAGES = { prepare: "Preparing", invert: "Inverting the picture", optimize: "Refining the inversion", edit: "Editing", decode: "Finishing" };

let told = "";

/** Show the progress of an edit that is not over. */
export function render(edit) {
  const box = byId("progress");
  box.hidden = false;
  const { progress } = edit;
  const bar = byId("bar");
  if (edit.state === "queued" || !progress) bar.removeAttribute("value");
  else bar.value = progress.fraction;
  byId("progress-text").textContent = sentence(edit);
  byId("progress-eta").textContent = edit.eta_s === null ? "" : `about ${duration(edit.eta_s)} left`;
  const cancel = byId("cancel");
  cancel.disabled = edit.cancel_requested;
  cancel.textContent = edit.cancel_requested ? "Canceling …" : "Cancel";
  cancel.onclick = () => stop(edit);
  say(edit);
}

export function hide() {
  byId("progress").hidden = true;
  byId("outage").hidden = true;
  told = "";
}

/** The connection is lost, or is back. */
export function outage(away) {
  byId("outage").hidden = !away;
}

function sentence({ state, queue_position: position, progress, attempt }) {
  const again = attempt > 1 ? ` (attempt ${attempt})` : "";
  if (state === "queued") {
    if (position === null) return "Waiting in line";
    return position ? `Waiting: ${position} ${position === 1 ? "edit" : "edits"} before it` : "Waiting: it is next";
  }
  if (!progress) return `Starting${again}`;
  const stage = STAGES[progress.stage] ?? progress.stage;
  const steps = progress.steps > 1 ? `, step ${progress.step} of ${progress.steps}` : "";
  return `${stage}${steps}${again}`;
}

/** Speak of every new stage and every quarter, not of every step. */
function say(edit) {
  const quarter = Math.floor((edit.progress?.fraction ?? 0) * 4) * 25;
  const text = `${edit.state} ${edit.progress?.stage ?? ""} ${quarter} %`;
  if (text !== told) announce(text);
  told = text;
}

async function stop(edit) {
  try {
    byId("cancel").disabled = true;
    await call(edit.links.cancel, { method: "PUT" });
    byId("outcome-title").focus();
  } catch (error) {
    // It was over before it could be stopped: what follows it shows its end.
    if (error.problem?.status === 409) return;
    byId("cancel").disabled = false;
    show(error);
  }
}

/** The end of an edit that has no picture: why. */
export function ending(edit) {
  if (edit === null) return h("p", { class: "note" }, "This edit was deleted.");
  if (edit.state === "canceled") return h("p", { class: "note" }, "This edit was canceled.");
  const { title, detail } = edit.problem ?? { title: "The edit failed", detail: "" };
  return h("div", { class: "note bad" }, h("b", {}, title), h("p", {}, detail));
}
