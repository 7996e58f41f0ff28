// Where an error is shown: at its field if it names one, else in the banner; the focus goes there.

import { text } from "../strings.js";
import { byId, h } from "./dom.js";
import { on } from "./state.js";

/** Show a ProblemError. Anything else is a fault of this page, and says so. */
export function show(error) {
  clear();
  if (error.name === "AbortError") return;
  const problem = error.problem ?? { title: text.errors.fault, detail: String(error), errors: [] };
  if (problem.status === 401) return; // The field of the key says it.
  if (!error.problem) console.error(error);
  const said = ({ message, values }) => text.problem(problem.code, message, values);
  const elsewhere = problem.errors.filter((each) => !atField(each.field, said(each)));
  if (document.querySelector("[aria-invalid=true]") && !elsewhere.length) {
    goToFirst();
    return;
  }
  banner(problem.title, [plain(problem), ...elsewhere.map(said)]);
}

/** The detail of a problem in plain words. */
export function plain({ code, title, detail = title, errors = [] }) {
  return text.problem(code, detail, errors.length === 1 ? errors[0].values : {});
}

/** Show `message` at the field `name`; false if the page has no such field. */
export function atField(name, message) {
  const wrapper = find(name);
  if (!wrapper) return false;
  const control = wrapper.querySelector("input, textarea, select, button.choose-image, [tabindex]") ?? wrapper;
  const id = `error-${wrapper.dataset.field}`;
  wrapper.querySelector(".error")?.remove();
  wrapper.append(h("p", { class: "error", id }, message));
  wrapper.classList.add("invalid");
  control.setAttribute("aria-invalid", "true");
  control.dataset.described ??= control.getAttribute("aria-describedby") ?? "";
  control.setAttribute("aria-describedby", `${id} ${control.dataset.described}`.trim());
  for (let parent = wrapper.parentElement; parent; parent = parent.parentElement) {
    if (parent instanceof HTMLDetailsElement) parent.open = true;
  }
  return true;
}

/** The first field with an error comes into view and gets the focus. */
export function goToFirst() {
  const first = document.querySelector("[aria-invalid=true]");
  first.focus({ preventScroll: true });
  first.closest(".invalid").scrollIntoView({ block: "center" });
}

/** Take all errors away. */
export function clear() {
  byId("banner").hidden = true;
  for (const wrapper of document.querySelectorAll(".invalid")) clearField(wrapper);
}

/** Take away the error of one field. */
export function clearField(wrapper) {
  wrapper.classList.remove("invalid");
  wrapper.querySelector(".error")?.remove();
  for (const control of wrapper.querySelectorAll("[aria-invalid]")) {
    control.removeAttribute("aria-invalid");
    if (control.dataset.described) control.setAttribute("aria-describedby", control.dataset.described);
    else control.removeAttribute("aria-describedby");
    delete control.dataset.described;
  }
}

function banner(title, lines) {
  const box = byId("banner");
  const close = h("button", { type: "button", class: "quiet", onclick: () => (box.hidden = true) }, text.close);
  const texts = [...new Set(lines.filter(Boolean))].map((line) => h("p", {}, line));
  box.replaceChildren(h("h2", {}, title), ...texts, close);
  box.hidden = false;
  box.focus({ preventScroll: true });
  box.scrollIntoView({ block: "center" });
}

/** `regions.1.words`: the most exact wrapper there is, from the whole name to its first part. */
function find(name) {
  for (let parts = name.split("."); parts.length; parts = parts.slice(0, -1)) {
    for (const wrapper of document.querySelectorAll(`[data-field="${CSS.escape(parts.join("."))}"]`)) {
      if (wrapper.offsetParent !== null || wrapper.closest("details:not([open])")) return wrapper;
    }
  }
  return null;
}

on("painted", () => document.querySelectorAll("[data-field=mask].invalid").forEach(clearField));
document.addEventListener("input", (event) => {
  const wrapper = event.target.closest?.(".invalid");
  if (wrapper) clearField(wrapper);
});
