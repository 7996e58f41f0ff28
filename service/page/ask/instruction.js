// One sentence for an edit: the service reads it, the prompts and the mask follow, and all of it can be corrected.

import { json } from "../shared/api.js";
import { announce, byId } from "../shared/dom.js";
import { atField, clearField, plain } from "../shared/errors.js";
import { emit, on, state } from "../shared/state.js";
import { findByWords } from "../stage/find.js";
import { masks } from "../stage/masks.js";
import { text } from "../strings.js";
import { chosenModel, isInstructed } from "./settings.js";

/** Wire the field. */
export function setUp() {
  byId("instruction").addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    read();
  });
  byId("read-instruction").addEventListener("click", read);
  for (const topic of ["models", "settings"]) on(topic, offer);
  byId("settings").addEventListener("change", offer);
}

/** An instructed model takes the sentence as its prompt. */
function offer() {
  document.querySelector("[data-field=instruction]").hidden = isInstructed();
}

async function read() {
  const field = byId("instruction");
  document.querySelectorAll("[data-field=instruction].invalid").forEach(clearField);
  const instruction = field.value.trim();
  if (!instruction) {
    field.focus();
    return;
  }
  const body = new FormData();
  body.append("instruction", instruction);
  body.append("model", chosenModel().name);
  const source = byId("source_prompt").value.trim();
  if (source) body.append("source_prompt", source);
  else if (state.source?.edit) body.append("source_edit", state.source.edit);
  try {
    const found = await json("/v1/edits/resolve", { method: "POST", body });
    const wrong = found.problems.find((problem) => problem.field === "instruction");
    if (wrong) {
      atField("instruction", text.problem(wrong.code, wrong.message, wrong.values));
      return;
    }
    emit("prompts", { source: found.prompts.source_prompt.text, target: found.prompts.target_prompt.text });
    announce(text.ask.wasRead);
    const { phrase } = found.instruction;
    const isPainted = masks.regions.some(({ share }) => share);
    if (phrase && state.source && !isPainted) findByWords(phrase);
  } catch (error) {
    atField("instruction", plain(error.problem ?? { detail: error.message }));
  }
}
