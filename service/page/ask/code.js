// The same edit as a shell command and as a Python program, with its masks as files to go with them.

import { key } from "../shared/api.js";
import { announce, byId, h, save } from "../shared/dom.js";
import { on, state } from "../shared/state.js";
import { masks, toPng } from "../stage/masks.js";
import { text } from "../strings.js";
import { fields } from "./submit.js";

/** Wire the panel: while it is open it is written anew with every change of the form. */
export function setUp() {
  const refresh = () => byId("code").open && write();
  byId("code").addEventListener("toggle", refresh);
  for (const kind of ["input", "change"]) document.addEventListener(kind, refresh);
  for (const topic of ["source", "regions", "prompts", "settings", "models", "key"]) on(topic, refresh);
  for (const [button, shown] of [["copy-curl", "curl"], ["copy-python", "python"]]) {
    byId(button).addEventListener("click", () => (write(), copy(byId(shown))));
  }
}

function write() {
  const names = masks.regions.map((_, n) => `mask-${n}.png`);
  const parts = state.source?.edit ? [] : [["image", "image.png"]];
  parts.push(...names.map((name) => ["mask", name]));
  byId("curl").textContent = curl(parts, fields());
  byId("python").textContent = python(parts, fields());
  byId("mask-downloads").replaceChildren(
    ...masks.regions.map((region, n) =>
      h("button", { type: "button", onclick: async () => save(await toPng(region, masks.feather), names[n]) }, text.code.save(names[n])),
    ),
  );
}

function curl(files, pairs) {
  const lines = [
    `curl --fail-with-body ${quoted(`${location.origin}/v1/edits`)}`,
    ...(key() ? [`-H "Authorization: Bearer $MAGEDIT_API_KEY"`] : []),
    ...files.map(([name, file]) => `-F ${name}=@${file}`),
    // Not -F: it would take a leading @ or < for a file.
    ...pairs.map(([name, value]) => `--form-string ${quoted(`${name}=${value}`)}`),
  ];
  return lines.join(" \\\n  ");
}

function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function python(files, pairs) {
  const data = new Map();
  for (const [name, value] of pairs) data.set(name, [...(data.get(name) ?? []), value]);
  const entries = [...data].map(([name, values]) => {
    return `    ${JSON.stringify(name)}: ${values.length > 1 ? JSON.stringify(values) : JSON.stringify(values[0])},`;
  });
  return [
    ...(key() ? ["import os"] : []),
    "import time",
    "import httpx",
    "",
    `headers = {${key() ? '"Authorization": "Bearer " + os.environ["MAGEDIT_API_KEY"]' : ""}}`,
    "files = [",
    ...files.map(([name, file]) => `    ("${name}", open("${file}", "rb")),`),
    "]",
    "data = {",
    ...entries,
    "}",
    `with httpx.Client(base_url=${JSON.stringify(location.origin)}, headers=headers, timeout=60) as client:`,
    '    edit = client.post("/v1/edits", files=files, data=data).raise_for_status().json()',
    '    while edit["state"] in ("queued", "running"):',
    "        time.sleep(1)",
    '        edit = client.get(edit["links"]["self"]).raise_for_status().json()',
    '    result = client.get(edit["links"]["result"]).raise_for_status()',
    'open("result.png", "wb").write(result.content)',
  ].join("\n");
}

async function copy(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    announce(text.copied);
  } catch {
    // No clipboard without https: mark the text, so that Ctrl-C takes it.
    getSelection().selectAllChildren(element);
    announce(text.code.selected);
  }
}
