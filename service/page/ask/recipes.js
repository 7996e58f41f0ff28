// Settings that were saved by name in this browser.

import { byId, h, icon } from "../shared/dom.js";
import { emit } from "../shared/state.js";
import { text } from "../strings.js";
import * as database from "../kept/database.js";
import { setValues, values } from "./settings.js";

const STORE = "recipes";

/** Build the row: choose, save, delete. */
export function setUp() {
  const chosen = h("select", { id: "recipe", "aria-label": text.recipes.label });
  const name = h("input", { type: "text", id: "recipe-name", maxlength: 60, "aria-label": text.recipes.name, placeholder: text.recipes.name });
  const keep = h("button", { type: "button", id: "recipe-save", onclick: () => save(name) }, text.recipes.save);
  const gone = h("button", { type: "button", class: "icon", id: "recipe-delete", "aria-label": text.recipes.remove, title: text.recipes.remove, hidden: true, onclick: remove });
  gone.append(icon("trash-2"));
  name.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    save(name);
  });
  chosen.addEventListener("change", () => apply(chosen.value));
  byId("recipes").replaceChildren(chosen, gone, name, keep);
  list("");
}

async function list(selected) {
  const names = await database.keys(STORE);
  byId("recipe").replaceChildren(
    h("option", { value: "" }, text.recipes.none),
    ...names.map((name) => h("option", { value: name, selected: name === selected }, name)),
  );
  byId("recipe").hidden = !names.length;
  byId("recipe-delete").hidden = !selected;
}

async function apply(name) {
  byId("recipe-delete").hidden = !name;
  const kept = name ? await database.get(STORE, name) : null;
  if (!kept) return;
  setValues(kept);
  // The fields have changed as by hand: undo, drafts and the reading hear of it.
  byId("settings").dispatchEvent(new Event("input", { bubbles: true }));
  emit("note");
}

async function save(input) {
  const name = input.value.trim();
  if (!name) {
    input.focus();
    return;
  }
  await database.put(STORE, name, values());
  input.value = "";
  await list(name);
}

async function remove() {
  await database.remove(STORE, byId("recipe").value);
  await list("");
  byId("recipe-name").focus();
}
