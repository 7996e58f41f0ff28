// What the model is for, told before anybody paints, and again where a picture is hardly one of its kind.

import { chosenModel } from "../ask/settings.js";
import { byId, h } from "../shared/dom.js";
import { on, state } from "../shared/state.js";
import { text } from "../strings.js";

const COMMAND = "MAGEDIT_CHECKPOINT=/models/stable-diffusion-v1-5 MAGEDIT_MODEL=sd15 make up";

/** Wire what it depends on. */
export function setUp() {
  for (const topic of ["models", "source", "view"]) on(topic, render);
  byId("settings").addEventListener("change", render);
  on("restored", (words) => {
    render();
    if (!words) return;
    const box = byId("purpose");
    const note = h("p", { class: "warn" }, words);
    if (box.hidden) box.replaceChildren(note);
    else box.prepend(note);
    box.hidden = false;
  });
}

function render() {
  const box = byId("purpose");
  const model = chosenModel();
  const { source } = state;
  box.hidden = !model?.domain || Boolean(source?.isDemo || source?.edit) || state.view === "result";
  if (box.hidden) return;
  const isOwn = Boolean(source);
  box.classList.toggle("bad", isOwn);
  const how = h(
    "details",
    {},
    h("summary", {}, text.model.connect),
    h("pre", { tabindex: 0, role: "region", "aria-label": text.model.connect }, COMMAND),
  );
  box.replaceChildren(h("p", {}, h("b", {}, text.model.purpose(model.name, model.domain)), " ", isOwn ? text.model.smear : text.model.photographs), how);
}
