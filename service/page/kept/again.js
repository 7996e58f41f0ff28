// A past edit taken up again: everything that was sent, where this browser has it, else what the service tells.

import { picture } from "../shared/api.js";
import { announce } from "../shared/dom.js";
import { emit } from "../shared/state.js";
import { parameters, parametersOf } from "../ask/settings.js";
import { fromRecord } from "../stage/document.js";
import { show } from "../stage/view.js";
import { text } from "../strings.js";
import * as database from "./database.js";

/** Put picture, masks, words, seed and settings of an edit back into the editor. */
export async function editAgain(edit) {
  const kept = (await database.get("inputs", edit.id)) ?? (await told(edit));
  await fromRecord(kept);
  show("mask");
  announce(text.again.done);
  emit("restored", kept.source ? "" : text.again.noPicture);
}

/** What the record of an edit says: not the masks, and the picture only where it was another edit's result. */
async function told({ request, source_edit: edit, source_result: result, model }) {
  const { config, source_prompt: source, target_prompt: target } = request;
  const { output_format, artifacts, priority, kind } = request;
  const read = parametersOf(config.method);
  const all = { ...config, output_format, artifacts, priority, kind, model };
  const known = parameters();
  const settings = Object.entries(all).filter(([name, value]) => isAsked(value) && (!known.has(name) || read.has(name)));
  return {
    source: edit ? { blob: (await picture(`/v1/edits/${edit}/result/${result}`)).blob, name: text.source.resultOf(edit.slice(-6)), edit, result } : null,
    prompts: { source, target },
    settings: Object.fromEntries(settings.map(([name, value]) => [name, asText(value)])),
    regions: request.regions.map(({ words }) => ({ words: words.join(", "), isHidden: false, mask: null })),
  };
}

function isAsked(value) {
  return value !== null && value !== "" && !(typeof value === "object" && !Object.keys(value).length);
}

function asText(value) {
  if (Array.isArray(value)) return value.map(String);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
