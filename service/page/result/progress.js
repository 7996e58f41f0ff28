// How far an edit is: place in line, stage, step, time left; and the way to stop it.

import { call } from "../shared/api.js";
import { announce, byId, duration, h } from "../shared/dom.js";
import { plain, show } from "../shared/errors.js";
import { text } from "../strings.js";

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
  const warnings = edit.warnings.map(text.warning).join(" ");
  byId("progress-warning").textContent = warnings;
  byId("progress-warning").hidden = !warnings;
  byId("progress-eta").textContent = edit.eta_s === null ? "" : text.progress.left(duration(edit.eta_s));
  const cancel = byId("cancel");
  cancel.disabled = edit.cancel_requested;
  cancel.textContent = edit.cancel_requested ? text.progress.canceling : text.progress.cancel;
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

function sentence({ state, queue_position: position, waiting_for: waitingFor, progress, attempt }) {
  if (state === "queued") return text.progress.waiting(position, waitingFor === "worker");
  const again = attempt > 1 ? text.progress.attempt(attempt) : "";
  if (!progress) return text.progress.starting + again;
  const stage = text.progress.stages[progress.stage] ?? progress.stage;
  const steps = progress.steps > 1 ? text.progress.step(progress.step, progress.steps) : "";
  return stage + steps + again;
}

/** Speak of every new stage and every quarter, not of every step. */
function say(edit) {
  const quarter = Math.floor((edit.progress?.fraction ?? 0) * 4) * 25;
  const stage = text.progress.stages[edit.progress?.stage] ?? text.states[edit.state];
  const said = `${stage} ${text.units.percent(quarter)}`;
  if (said !== told) announce(said);
  told = said;
}

async function stop(edit) {
  try {
    byId("cancel").disabled = true;
    await call(edit.links.cancel, { method: "PUT" });
    byId("editor-title").focus({ preventScroll: true });
  } catch (error) {
    // It was over before it could be stopped: what follows it shows its end.
    if (error.problem?.status === 409) return;
    byId("cancel").disabled = false;
    show(error);
  }
}

/** The end of an edit that has no picture: why. */
export function ending(edit) {
  if (edit === null) return h("p", { class: "note" }, text.states.gone);
  if (edit.state === "canceled") return h("p", { class: "note" }, text.states.canceledEdit);
  const problem = edit.problem ?? { title: text.states.failedEdit, detail: "" };
  return h("div", { class: "note bad" }, h("b", {}, problem.title), h("p", {}, plain(problem)));
}
