// The settings of an edit: four in plain words, all others grouped. Fields, bounds, defaults and descriptions are those
// of the service's own contract; who reads them is told by its methods.

import { json } from "../shared/api.js";
import { byId, h, icon, prose } from "../shared/dom.js";
import { emit, on, state } from "../shared/state.js";
import { text } from "../strings.js";

const OWN = new Set(
  "image source_edit source_result mask mask_id mask_mode mask_shapes mask_softness source_prompt target_prompt instruction words regions compare".split(" "),
);
const PLAIN = "preset strength n seed".split(" ");
const TICKED = { artifacts: ["attention", "trace"] }; // What shows where the words look is asked for.
const RANGE_STEP = 0.05;
const RANDOM = 2 ** 31; // seeds of the dice are below

let schemas = {};
let fields = {};
const wrappers = new Map(); // by name: the field's element

/** Read the contract and build the controls. */
export async function setUp() {
  const contract = await json("/openapi.json");
  schemas = contract.components.schemas;
  const form = contract.paths["/v1/edits"].post.requestBody.content["multipart/form-data"].schema;
  fields = deref(form).properties;
  for (const name of Object.keys(fields)) if (!OWN.has(name)) wrappers.set(name, control(name));
  byId("plain").replaceChildren(...PLAIN.filter((name) => wrappers.has(name)).map((name) => wrappers.get(name)));
  group();
  for (const id of /** @type {const} */ (["source_prompt", "target_prompt"])) byId(id).maxLength = inner(fields[id]).maxLength;
  on("models", () => {
    models();
    group();
    offer();
  });
  on("reading", resolved);
  for (const kind of ["input", "change"]) byId("settings").addEventListener(kind, mark);
  byId("find-setting").addEventListener("input", find);
  byId("reset-all").addEventListener("click", () => {
    for (const name of wrappers.keys()) if (!PLAIN.includes(name)) put(name);
    changedByHand();
  });
  mark();
}

/** The values that field `name` can have, as the contract lists them. */
export function choices(name) {
  return fields[name] ? (inner(fields[name]).enum ?? []) : [];
}

/** Whether field `name` says how to edit, so that the service can resolve it without pictures. */
export function resolvable(name) {
  return name in (schemas.ResolveRequest?.properties ?? {});
}

/** What differs from the defaults, by name: a text, or a list of texts. */
export function values() {
  return Object.fromEntries([...wrappers.keys()].filter(isChanged).map((name) => [name, value(name)]));
}

/** Set these, and all others to their defaults. */
export function setValues(all = {}) {
  for (const name of wrappers.keys()) put(name, all[name]);
  mark();
  emit("settings");
}

/** What is sent, as [name, text] of a form: what differs from the service's own defaults. */
export function given() {
  const pairs = [];
  for (const [name, wrapper] of wrappers) {
    const is = value(name);
    if (wrapper.dataset.kind !== "ticks" && !isChanged(name)) continue;
    for (const each of [is].flat()) if (each !== "") pairs.push([name, each]);
  }
  return pairs;
}

/** The names of the fields that hold something which is no number: the browser gives no value for it. */
export function unreadable() {
  return [...wrappers.keys()].filter((name) => input(name)?.validity.badInput);
}

/** What a field holds, its default included; "" if the service decides. */
export function setting(name) {
  return wrappers.has(name) ? String(value(name)) : "";
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

/** The parameters that a method reads, with what belongs to choosing it. */
export function parametersOf(name) {
  const card = state.methods.get(name);
  return new Set(card ? ["method", ...card.parameters, ...(card.inversions.length ? ["inversion"] : [])] : []);
}

/** All parameters that methods or inversions read. */
export function parameters() {
  const cards = [...state.methods.values(), ...state.inversions.values()];
  return new Set(["method", "inversion", ...cards.flatMap(({ parameters }) => parameters)]);
}

const input = (name) => /** @type {HTMLInputElement} */ (byId(`field-${name}`) ?? wrappers.get(name)?.querySelector("[data-name]"));

function value(name) {
  const wrapper = wrappers.get(name);
  if (wrapper.dataset.kind === "ticks") return [...wrapper.querySelectorAll("input:checked")].map((tick) => tick.value);
  const element = input(name);
  if (element.dataset.auto === "true") return "";
  const is = element.value.trim();
  if (element.dataset.kind !== "list") return is;
  return is.split(",").map((each) => each.trim()).filter(Boolean);
}

function isChanged(name) {
  const wrapper = wrappers.get(name);
  const is = value(name);
  if (wrapper.dataset.kind === "ticks") return String(is) !== String(TICKED[name] ?? []);
  return String(is) !== "" && String(is) !== input(name).dataset.default;
}

/** Set one field; undefined: to its default. */
function put(name, is) {
  const wrapper = wrappers.get(name);
  if (wrapper.dataset.kind === "ticks") {
    const ticked = is ?? TICKED[name] ?? [];
    for (const tick of wrapper.querySelectorAll("input")) tick.checked = ticked.includes(tick.value);
    return;
  }
  const element = input(name);
  if (element.type === "range") element.dataset.auto = String(is === undefined);
  if (name === "model" && is && ![.../** @type {any} */ (element).options].some((option) => option.value === is)) {
    element.append(h("option", { value: is }, is));
  }
  if (element.type === "range" && is === undefined) element.value = element.dataset.usual ?? element.max;
  else element.value = is === undefined ? element.dataset.default : [is].flat().join(", ");
  show(name);
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
  const plain = text.settings.plain[name];
  const hint = h("small", { id: `hint-${name}`, class: "hint" }, ...prose(plain?.hint ?? description));
  const options = schema.type === "array" && inner(schema.items).enum;
  const wrapper = options ? ticks(name, options, hint) : single(name, schema, standard, hint);
  wrapper.dataset.words = `${name} ${title(name)} ${description} ${options || schema.enum || ""}`.toLowerCase();
  const undo = h("button", {
    type: "button",
    class: "quiet icon reset",
    "aria-label": text.settings.reset(title(name)),
    title: text.settings.reset(title(name)),
    hidden: true,
    onclick: () => {
      put(name);
      changedByHand();
      (input(name) ?? wrapper.querySelector("input")).focus();
    },
  });
  undo.append(icon("rotate-ccw"));
  wrapper.querySelector("label, legend").after(undo);
  return wrapper;
}

function single(name, schema, standard, hint) {
  const element = PLAIN.includes(name) && schema.type === "number" ? slider(schema) : widget(name, schema, standard);
  element.id = `field-${name}`;
  element.dataset.name = name;
  element.dataset.default ??= element.value;
  element.setAttribute("aria-describedby", hint.id);
  const shown = element.type === "range" ? h("output", { for: element.id }) : null;
  const dice = name === "seed" ? button("dices", text.settings.dice, () => {
    element.value = String(crypto.getRandomValues(new Uint32Array(1))[0] % RANDOM);
    changedByHand();
  }) : null;
  const row = shown || dice ? h("div", { class: "row tight" }, element, shown, dice) : element;
  const label = h("label", { for: element.id }, title(name));
  return h("div", { class: "field", "data-field": name }, label, row, hint);
}

function button(name, label, onclick) {
  const made = h("button", { type: "button", class: "icon", "aria-label": label, title: label, onclick });
  made.append(icon(name));
  return made;
}

/** A slider that says nothing until it is moved. */
function slider({ minimum, maximum }) {
  const element = h("input", { type: "range", min: minimum, max: maximum, step: RANGE_STEP, value: maximum });
  Object.assign(element.dataset, { auto: "true", default: "" });
  element.addEventListener("input", () => (element.dataset.auto = "false"));
  return element;
}

function widget(name, schema, standard) {
  const value = standard === null || standard === undefined || typeof standard === "object" ? "" : String(standard);
  const options = schema.type === "boolean" ? ["true", "false"] : schema.enum;
  if (options) return choice(name, options, value);
  if (schema.type === "integer" || schema.type === "number") {
    const { minimum, maximum } = schema;
    // Beyond what a double counts exactly, the bound says nothing to a person.
    const max = maximum > Number.MAX_SAFE_INTEGER ? null : maximum;
    const placeholder = value ? null : text.settings.preset(minimum, max);
    const step = schema.type === "integer" ? 1 : "any";
    return h("input", { type: "number", min: minimum, max, step, value, placeholder });
  }
  const element = h("input", { type: "text", value, autocomplete: "off", maxlength: schema.maxLength });
  if (schema.type === "array") {
    element.dataset.kind = "list";
    element.placeholder = text.settings.list;
  } else if (schema.contentMediaType) element.placeholder = "{}";
  else if (name === "model") return choice(name, [], "");
  return element;
}

function choice(name, options, value) {
  const all = value && options.includes(value) ? options : ["", ...options];
  const words = (each) => text.settings.plain[name]?.choices?.[each] ?? (each || text.settings.unset);
  return h("select", {}, ...all.map((each) => h("option", { value: each, selected: each === value }, words(each))));
}

function ticks(name, options, hint) {
  const tick = (value) => {
    const checked = TICKED[name]?.includes(value) ?? false;
    return h("label", { class: "tick" }, h("input", { type: "checkbox", value, checked }), value);
  };
  const attributes = { class: "field", "data-field": name, "data-kind": "ticks", "aria-describedby": hint.id };
  return h("fieldset", attributes, h("legend", {}, title(name)), ...options.map(tick), hint);
}

/** Put every field that is not plain under what it belongs to. */
function group() {
  const groups = new Map();
  for (const [name, wrapper] of wrappers) {
    if (PLAIN.includes(name)) continue;
    const where = belongs(name);
    groups.set(where, [...(groups.get(where) ?? []), wrapper]);
  }
  const order = (where) => [text.settings.general, text.settings.all, text.settings.several].indexOf(where) + 1 || 9;
  const sorted = [...groups].sort(([a], [b]) => order(a) - order(b));
  byId("groups").replaceChildren(
    ...sorted.map(([where, members]) =>
      h("section", { class: "group", "aria-label": where }, h("h4", {}, where), h("div", { class: "grid" }, ...members)),
    ),
  );
  find();
}

function belongs(name) {
  const methods = [...state.methods.values()].filter(({ parameters }) => parameters.includes(name));
  const inversions = [...state.inversions.values()].filter(({ parameters }) => parameters.includes(name));
  if (!methods.length && !inversions.length) return text.settings.general;
  if (!methods.length) return text.settings.ofInversion(inversions.map((each) => each.name).join(", "));
  if (methods.length > state.methods.size / 2) return text.settings.all;
  return methods.length > 1 ? text.settings.several : text.settings.ofMethod(methods[0].name);
}

function find() {
  const wanted = byId("find-setting").value.trim().toLowerCase().split(/\s+/);
  let any = false;
  for (const section of /** @type {NodeListOf<any>} */ (byId("groups").querySelectorAll(".group"))) {
    let some = false;
    for (const wrapper of section.querySelectorAll(".field")) {
      wrapper.hidden = !wanted.every((word) => wrapper.dataset.words.includes(word));
      some ||= !wrapper.hidden;
    }
    section.hidden = !some;
    any ||= some;
  }
  byId("no-setting").hidden = any;
}

/** What the chosen model does not have cannot be chosen. */
function offer() {
  const model = chosenModel();
  for (const [name, has] of [["method", model?.methods], ["inversion", model?.inversions]]) {
    const options = /** @type {HTMLOptionElement[]} */ (/** @type {unknown} */ ([...(input(name)?.querySelectorAll("option") ?? [])]));
    for (const option of options) {
      option.disabled = Boolean(has && option.value && !has.includes(option.value) && !option.selected);
    }
  }
}

/** Mark what differs from the defaults. */
function mark() {
  offer();
  let count = 0;
  for (const [name, wrapper] of wrappers) {
    const changed = isChanged(name);
    wrapper.classList.toggle("changed", changed);
    wrapper.querySelector(".reset").hidden = !changed;
    if (changed && !PLAIN.includes(name)) count += 1;
    show(name);
  }
  byId("changed-count").hidden = !count;
  byId("changed-count").textContent = text.settings.changed(count);
  byId("reset-all").disabled = !count;
}

function show(name) {
  const element = input(name);
  if (element?.type !== "range") return;
  const output = wrappers.get(name).querySelector("output");
  const usual = element.dataset.usual ?? "";
  output.textContent = element.dataset.auto === "true" ? text.settings.usual(usual) : element.value;
}

/** A button has changed something, as typing does. */
function changedByHand() {
  mark();
  byId("settings").dispatchEvent(new Event("input", { bubbles: true }));
  byId("settings").dispatchEvent(new Event("change", { bubbles: true }));
}

/** The service has said what the form comes to: what is not given shows it, what nothing reads says so. */
function resolved({ parameters: all, methods }) {
  const used = parametersOf(methods[0]);
  for (const [name, wrapper] of wrappers) {
    const element = input(name);
    const usual = all[name]?.value;
    if (element?.type === "range" && all[name] && all[name].origin !== "given") {
      element.dataset.usual = String(usual);
      if (element.dataset.auto === "true") element.value = String(usual);
      show(name);
    } else if (element?.type === "number" && !element.dataset.default && typeof usual === "number") {
      element.placeholder = text.settings.preset(element.min, element.max, all[name].origin === "given" ? null : usual);
    }
    const why = chosenModel()?.unsuited?.[name];
    const isUnread = methods.length === 1 && parameters().has(name) && !used.has(name) && !isOfInversion(name, all);
    wrapper.classList.toggle("unread", isUnread || Boolean(why));
    wrapper.querySelector(".unread-note")?.remove();
    const note = why ? text.settings.unsuited(why) : text.settings.unread(methods[0]);
    if (isUnread || why) wrapper.append(h("small", { class: "hint unread-note" }, note));
  }
}

function isOfInversion(name, { inversion }) {
  return state.inversions.get(inversion?.value)?.parameters.includes(name) ?? false;
}

function models() {
  const element = byId("field-model");
  if (!element) return;
  const names = [...state.models.keys()].filter((name) => name !== state.defaultModel);
  const chosen = element.value;
  element.replaceChildren(
    h("option", { value: "" }, text.settings.defaultModel(state.defaultModel)),
    ...names.map((name) => h("option", { value: name, selected: name === chosen }, name)),
  );
}

function title(name) {
  if (text.settings.plain[name]) return text.settings.plain[name].title;
  const words = name.replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}
