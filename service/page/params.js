// The parameters of an edit: fields, bounds, defaults and descriptions are those of the service's own contract.

import { json } from "./api.js";
import { byId, h, prose } from "./dom.js";
import { on, state } from "./state.js";

const OWN = new Set(
  "image source_edit source_result mask mask_mode source_prompt target_prompt words regions compare".split(" "),
);
const FIRST = "preset method constraint strength steps seed n sweep artifacts priority".split(" ");
const TICKED = { artifacts: ["attention", "trace"] }; // What shows why an edit worked is asked for.

let schemas = {};
let fields = {};

/** Read the contract and build the controls. */
export async function setUp() {
  const contract = await json("/openapi.json");
  schemas = contract.components.schemas;
  const form = contract.paths["/v1/edits"].post.requestBody.content["multipart/form-data"].schema;
  fields = deref(form).properties;
  const names = Object.keys(fields).filter((name) => !OWN.has(name));
  byId("parameters").replaceChildren(...FIRST.filter((name) => names.includes(name)).map(control));
  byId("more-parameters").replaceChildren(...names.filter((name) => !FIRST.includes(name)).map(control));
  for (const id of /** @type {const} */ (["source_prompt", "target_prompt"])) byId(id).maxLength = inner(fields[id]).maxLength;
  on("models", models);
}

/** The values that field `name` can have, as the contract lists them. */
export function choices(name) {
  return fields[name] ? (inner(fields[name]).enum ?? []) : [];
}

/** Whether field `name` says how to edit, so that the service can resolve it without pictures. */
export function resolvable(name) {
  return name in (schemas.ResolveRequest?.properties ?? {});
}

/** What differs from the defaults, as [name, text] of a form. */
export function given() {
  const pairs = [];
  for (const element of document.querySelectorAll("#settings [data-name]")) {
    const { name, kind } = element.dataset;
    if (kind === "ticks") {
      for (const tick of element.querySelectorAll("input:checked")) pairs.push([name, tick.value]);
    } else if (element.value.trim() !== "" && element.value !== element.dataset.default) {
      const values = kind === "list" ? element.value.split(",").map((value) => value.trim()) : [element.value.trim()];
      for (const value of values.filter(Boolean)) pairs.push([name, value]);
    }
  }
  return pairs;
}

/** The names of the fields that hold something which is no number: the browser gives no value for it. */
export function unreadable() {
  const all = [...document.querySelectorAll("#settings [data-name]")];
  return all.filter(({ validity }) => validity?.badInput).map(({ dataset }) => dataset.name);
}

/** What a field holds, its default included; "" if the service decides. */
export function setting(name) {
  return byId(/** @type {"field-model"} */ (`field-${name}`))?.value.trim() ?? "";
}

/** The model that the form is for, if the service has it. */
export function chosenModel() {
  return state.models.get(setting("model") || state.defaultModel);
}

/** Whether the model edits by instruction: then the target prompt is one, and says all. */
export function isInstructed() {
  const methods = chosenModel()?.methods ?? [];
  return methods.length > 0 && methods.every((name) => state.methods.get(name)?.takes_instruction);
}

function deref(schema) {
  return schema.$ref ? deref(schemas[schema.$ref.split("/").at(-1)]) : schema;
}

/** The schema of the value itself, of one that may be null. */
function inner(schema) {
  const own = deref(schema);
  const some = own.anyOf?.find(({ type }) => type !== "null");
  return some ? deref(some) : own;
}

function control(name) {
  const { description = "", default: standard } = fields[name];
  const schema = inner(fields[name]);
  const hint = h("small", { id: `hint-${name}`, class: "hint" }, ...prose(description));
  if (schema.type === "array" && inner(schema.items).enum) return ticks(name, inner(schema.items).enum, hint);
  const element = widget(name, schema, standard);
  element.id = `field-${name}`;
  element.dataset.name = name;
  element.dataset.default = element.value;
  element.setAttribute("aria-describedby", hint.id);
  return h("div", { class: "field", "data-field": name }, h("label", { for: element.id }, title(name)), element, hint);
}

function widget(name, schema, standard) {
  const value = standard === null || standard === undefined || typeof standard === "object" ? "" : String(standard);
  const options = schema.type === "boolean" ? ["true", "false"] : schema.enum;
  if (options) return choice(options, value);
  if (schema.type === "integer" || schema.type === "number") {
    const { minimum, maximum } = schema;
    // Beyond what a double counts exactly, the bound says nothing to a person.
    const max = maximum > Number.MAX_SAFE_INTEGER ? null : maximum;
    const placeholder = value ? null : `as the preset has it (${minimum} to ${max})`;
    const step = schema.type === "integer" ? 1 : "any";
    return h("input", { type: "number", min: minimum, max, step, value, placeholder });
  }
  const element = h("input", { type: "text", value, autocomplete: "off", maxlength: schema.maxLength });
  if (schema.type === "array") {
    element.dataset.kind = "list";
    element.placeholder = "with commas between them";
  } else if (schema.contentMediaType) element.placeholder = "{}";
  else if (name === "model") return choice([], "");
  return element;
}

function choice(options, value) {
  const all = value && options.includes(value) ? options : ["", ...options];
  return h("select", {}, ...all.map((each) => h("option", { value: each, selected: each === value }, each || "default")));
}

function ticks(name, options, hint) {
  return h(
    "fieldset",
    { class: "field", "data-field": name, "data-name": name, "data-kind": "ticks", "aria-describedby": hint.id },
    h("legend", {}, title(name)),
    ...options.map((value) =>
      h(
        "label",
        { class: "tick" },
        h("input", { type: "checkbox", value, checked: TICKED[name]?.includes(value) ?? false }),
        value,
      ),
    ),
    hint,
  );
}

function models() {
  const element = byId("field-model");
  if (!element) return;
  const names = [...state.models.keys()].filter((name) => name !== state.defaultModel);
  const chosen = element.value;
  element.replaceChildren(
    h("option", { value: "" }, `${state.defaultModel} (default)`),
    ...names.map((name) => h("option", { value: name, selected: name === chosen }, name)),
  );
}

function title(name) {
  const text = name.replaceAll("_", " ");
  return text[0].toUpperCase() + text.slice(1);
}
