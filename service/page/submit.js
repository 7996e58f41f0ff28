// What is sent: checked here only for what the service could not say better, then sent and followed.

import { call } from "./api.js";
import { announce, byId } from "./dom.js";
import { atField, clear, show } from "./errors.js";
import * as keep from "./keep.js";
import { masks, toPng } from "./masks.js";
import { given } from "./params.js";
import { open } from "./result.js";
import { emit, state } from "./state.js";
import { phrases } from "./words.js";

let sending = false;

/** Wire the button. */
export function setUp() {
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
}

/** Every field but the pictures, as [name, text]; those of `instead` as they are there. */
export function fields(instead = []) {
  const { regions } = masks;
  const { source } = state;
  const pairs = [
    ["source_prompt", byId("source_prompt").value.trim()],
    ["target_prompt", byId("target_prompt").value.trim()],
  ].filter(([, value]) => value);
  if (source?.edit) pairs.push(["source_edit", source.edit], ["source_result", String(source.result)]);
  if (regions.length > 1) {
    pairs.push(["regions", JSON.stringify(regions.map(({ words }) => ({ words: phrases(words) })))]);
  } else if (regions.length) {
    for (const word of phrases(regions[0].words)) pairs.push(["words", word]);
  }
  const names = new Set(instead.map(([name]) => name));
  return [...pairs, ...given().filter(([name]) => !names.has(name)), ...instead];
}

function submit() {
  return busy(byId("submit"), async () => {
    const edit = await send();
    announce("The edit was accepted");
    open(edit);
    byId("outcome-title").focus();
  });
}

/** Check the form, then do `work` while `button` says so; errors go to their fields. */
export async function busy(button, work) {
  if (sending) return;
  clear();
  if (!checked()) {
    document.querySelector("[aria-invalid=true]").focus();
    return;
  }
  sending = true;
  button.setAttribute("aria-disabled", "true");
  try {
    await work();
  } catch (error) {
    show(error);
  } finally {
    sending = false;
    button.removeAttribute("aria-disabled");
  }
}

/** Send what the form says, but for the fields of `instead`: the accepted edit. Throws ProblemError. */
export async function send(instead = []) {
  const { source } = state;
  const form = new FormData();
  if (!source.edit) form.append("image", source.blob, "image.png");
  for (const [n, region] of masks.regions.entries()) form.append("mask", await toPng(region), `mask-${n}.png`);
  for (const [name, value] of fields(instead)) form.append(name, value);
  const edit = await (await call("/v1/edits", { method: "POST", body: form })).json();
  await keep.put(edit.id, source.blob);
  emit("submitted", edit);
  return edit;
}

function checked() {
  if (!state.source) return !atField("image", "Choose a picture first.");
  let fine = true;
  for (const [n, region] of masks.regions.entries()) {
    if (region.share) continue;
    const where = masks.regions.length > 1 ? `Region ${n + 1}` : "The mask";
    fine = !atField("mask", `${where} is empty: paint what to edit.`);
    break;
  }
  if (!byId("target_prompt").value.trim()) {
    fine = !atField("target_prompt", "Say what the edited picture shall show.");
  }
  if (!byId("source_prompt").value.trim()) fine = !atField("source_prompt", "Say what the picture shows.");
  return fine;
}
