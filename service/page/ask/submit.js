// What is sent: checked here only for what the service could not say better, then sent and followed.

import * as database from "../kept/database.js";
import { open } from "../result/result.js";
import { call } from "../shared/api.js";
import { announce, byId } from "../shared/dom.js";
import { atField, clear, goToFirst, show } from "../shared/errors.js";
import { emit, state } from "../shared/state.js";
import { toRecord } from "../stage/document.js";
import { masks, settle, toPng } from "../stage/masks.js";
import { text } from "../strings.js";
import { given, isInstructed, unreadable } from "./settings.js";

let sending = false;
let unanswered = []; // {key, parts} of what was sent since a submission last came to its end

/** Wire the button. */
export function setUp() {
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
}

/** A words field as a person wrote it: phrases between commas. */
function phrases(text) {
  return text.split(",").map((each) => each.trim()).filter(Boolean);
}

/** Every field but the pictures, as [name, text]; those of `instead` as they are there, none of `without`. */
export function fields(instead = [], without = []) {
  const { regions } = masks;
  const { source } = state;
  const pairs = [
    ["source_prompt", byId("source_prompt").value.trim()],
    ["target_prompt", byId("target_prompt").value.trim()],
  ].filter(([, value]) => value);
  if (masks.feather) pairs.push(["mask_softness", "strength"]);
  if (source?.edit) pairs.push(["source_edit", source.edit], ["source_result", String(source.result)]);
  if (regions.length > 1) {
    pairs.push(["regions", JSON.stringify(regions.map(({ words }) => ({ words: phrases(words) })))]);
  } else if (regions.length) {
    for (const word of phrases(regions[0].words)) pairs.push(["words", word]);
  }
  const names = new Set([...instead.map(([name]) => name), ...without]);
  return [...pairs, ...given().filter(([name]) => !names.has(name)), ...instead];
}

function submit() {
  return busy(byId("submit"), async () => {
    const edit = await send();
    announce(text.ask.accepted);
    open(edit);
    // On a phone the stage may be far up.
    byId("stage").scrollIntoView({ block: "nearest" });
  });
}

/** Check the form, then do `work` while `button` says so; errors go to their fields. */
export async function busy(button, work) {
  if (sending) return;
  clear();
  settle();
  if (!checked()) {
    goToFirst();
    return;
  }
  sending = true;
  button.setAttribute("aria-disabled", "true");
  try {
    await work();
    unanswered = [];
  } catch (error) {
    if (isRefusal(error)) unanswered = [];
    show(error);
  } finally {
    sending = false;
    button.removeAttribute("aria-disabled");
  }
}

/** Send what the form says, but for the fields of `instead` and `without`: the accepted edit. Throws ProblemError. */
export async function send(instead = [], without = []) {
  const { source } = state;
  const record = await toRecord();
  const parts = source.edit ? [] : [["image", source.blob, "image.png"]];
  for (const [n, { mask }] of record.regions.entries()) {
    const sent = masks.feather ? await toPng(masks.regions[n], masks.feather) : mask;
    parts.push(["mask", sent, `mask-${n}.png`]);
  }
  parts.push(...fields(instead, without));
  const form = new FormData();
  for (const [name, value, file] of parts) {
    if (file) form.append(name, value, file);
    else form.append(name, value);
  }
  const headers = { "Idempotency-Key": await keyOf(parts) };
  const edit = await (await call("/v1/edits", { method: "POST", body: form, headers })).json();
  await database.put("inputs", edit.id, record);
  emit("submitted", edit);
  return edit;
}

/** A key for what is sent: the same one for the same again after an answer was lost, so that no second edit is made. */
async function keyOf(parts) {
  for (const before of unanswered) if (await same(before.parts, parts)) return before.key;
  // Not randomUUID: a page without https has none.
  const key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  unanswered.push({ key, parts });
  return key;
}

async function same(some, others) {
  if (some.length !== others.length) return false;
  for (const [n, [name, value]] of some.entries()) {
    const [other, its] = others[n];
    if (name !== other || !(value === its || (value.size && value.size === its.size && (await alike(value, its))))) return false;
  }
  return true;
}

async function alike(blob, other) {
  const [a, b] = await Promise.all([blob, other].map(async (each) => new Uint8Array(await each.arrayBuffer())));
  return a.every((byte, n) => byte === b[n]);
}

/** Whether the service has said no, and will not say anything else to the same request. */
function isRefusal({ problem }) {
  return problem && problem.status >= 400 && problem.status < 500 && ![408, 409, 429].includes(problem.status);
}

function checked() {
  if (!state.source) return !atField("image", text.errors.noImage);
  let fine = true;
  for (const [n, region] of masks.regions.entries()) {
    if (region.share) continue;
    fine = !atField("mask", text.errors.emptyMask(masks.regions.length > 1 ? n + 1 : 0));
    break;
  }
  for (const name of unreadable()) fine = !atField(name, text.errors.noNumber);
  if (!byId("source_prompt").value.trim() && !isInstructed()) fine = !atField("source_prompt", text.errors.noSource);
  if (!byId("target_prompt").value.trim()) {
    fine = !atField("target_prompt", isInstructed() ? text.errors.noInstruction : text.errors.noTarget);
  }
  return fine;
}
