// What an edit is made of as it stands on the page: picture, regions, prompts, settings. It can be taken back to, kept,
// and restored.

import * as settings from "../ask/settings.js";
import { byId } from "../shared/dom.js";
import { emit, on, state } from "../shared/state.js";
import * as masks from "./masks.js";
import { decode, read } from "./source.js";
import * as undo from "./undo.js";

const EMPTY = { source: null, prompts: { source: "", target: "" }, settings: {}, regions: [], selected: 0, feather: 0 };
let last = EMPTY;
const encoded = new WeakMap(); // by region: {version, blob} of its mask

/** Wire what ends a change of a field. */
export function setUp() {
  for (const end of ["change", "focusout"]) {
    document.addEventListener(end, ({ target }) => target.closest?.("#ask") && note());
  }
  on("note", note);
  for (const topic of ["painted", "regions", "source", "prompts", "settings", "feather"]) on(topic, () => emit("document"));
  document.addEventListener("input", ({ target }) => target.closest?.("#ask") && emit("document"));
}

const prompts = () => ({ source: byId("source_prompt").value, target: byId("target_prompt").value });

function snapshot() {
  const { regions, selected } = masks.masks;
  return {
    source: state.source,
    prompts: prompts(),
    settings: settings.values(),
    regions: regions.map((region) => ({ region, words: region.words, isHidden: region.isHidden })),
    selected,
    feather: masks.masks.feather,
  };
}

function same(some, other) {
  const plain = ({ prompts, settings, regions, feather }) =>
    JSON.stringify([prompts, settings, feather, regions.map(({ words, isHidden }) => [words, isHidden])]);
  return (
    some.source === other.source &&
    some.regions.length === other.regions.length &&
    some.regions.every(({ region }, n) => region === other.regions[n].region) &&
    plain(some) === plain(other)
  );
}

/** Something other than a mask may have changed: if it has, it can be undone. */
export function note() {
  const before = last;
  const now = snapshot();
  last = now;
  if (same(before, now)) return;
  undo.push({ undo: () => goTo(before), redo: () => goTo(now) });
  emit("document");
}

function goTo(document) {
  const isOther = document.source !== state.source;
  const { width = 0, height = 0 } = document.source ?? {};
  state.source = document.source;
  for (const { region, words, isHidden } of document.regions) Object.assign(region, { words, isHidden });
  const regions = document.regions.map(({ region }) => region);
  masks.restore(regions, document.selected, width, height);
  if (isOther) emit("source");
  masks.setFeather(document.feather);
  settings.setValues(document.settings);
  emit("prompts", document.prompts);
  last = document;
}

/** The document as a record that IndexedDB takes. */
export async function toRecord() {
  const { source } = state;
  const regions = [];
  for (const region of masks.masks.regions) {
    const { words, isHidden, version } = region;
    if (encoded.get(region)?.version !== version) encoded.set(region, { version, blob: await masks.toPng(region) });
    regions.push({ words, isHidden, mask: encoded.get(region).blob });
  }
  const { blob, name, edit, result, isDemo } = source ?? {};
  return {
    source: source && { blob, name, edit, result, isDemo },
    prompts: prompts(),
    settings: settings.values(),
    regions,
    selected: masks.masks.selected,
    feather: masks.masks.feather,
  };
}

/** Take up a record again. What it lacks (null) stays as it is. */
export async function fromRecord({ source, prompts: words, settings: values, regions, selected = 0, feather = 0 }) {
  const { blob, ...rest } = source ?? {};
  const picture = source && (await read(blob, rest));
  const areas = await Promise.all((picture ? regions : []).map(({ mask }) => mask && decode(mask)));
  undo.asOne(() => {
    if (picture) {
      state.source = picture;
      masks.reset(picture.width, picture.height);
      emit("source");
      for (const [n, area] of areas.entries()) {
        if (n) masks.addRegion();
        if (area) masks.take(area);
      }
    }
    while (state.source && masks.masks.regions.length < regions.length) masks.addRegion();
    for (const [n, region] of masks.masks.regions.entries()) {
      Object.assign(region, { words: regions[n]?.words ?? region.words, isHidden: regions[n]?.isHidden ?? false });
    }
    if (masks.masks.regions.length) masks.select(Math.min(selected, masks.masks.regions.length - 1));
    masks.setFeather(feather);
    settings.setValues(values);
    emit("prompts", words);
    note();
  });
}
