// What this browser keeps (IndexedDB): drafts, what was sent, names of edits, saved settings. A browser that keeps
// nothing (a private window) only does without.

import { openDB } from "../vendor/idb.js";

const NAME = "magedit";
const STORES = ["drafts", "inputs", "names", "recipes"];
const MOST = { drafts: 8, inputs: 40 }; // entries; keys sort by the time of their making

let opened = null;

function database() {
  opened ??= openDB(NAME, 2, {
    upgrade(made, before) {
      // Version 1 had the pictures of edits alone; they stay.
      if (before < 1) made.createObjectStore("pictures");
      for (const store of STORES) made.createObjectStore(store);
    },
    // A tab with a later version of the page waits for this one.
    blocking: (_now, _later, event) => /** @type {IDBDatabase} */ (event.target).close(),
  });
  return opened;
}

async function attempt(work, otherwise) {
  try {
    return await work(await database());
  } catch (error) {
    console.info("IndexedDB:", error.message);
    return otherwise;
  }
}

/** Keep `value`; the oldest of more than there is room for go. */
export function put(store, key, value) {
  return attempt(async (made) => {
    await made.put(store, value, key);
    if (!MOST[store]) return;
    const all = await made.getAllKeys(store);
    for (const old of all.slice(0, -MOST[store])) await made.delete(store, old);
  });
}

/** What is kept, or null. */
export const get = (store, key) => attempt(async (made) => (await made.get(store, key)) ?? null, null);

export const keys = (store) => attempt((made) => made.getAllKeys(store), []);

export const remove = (store, key) => attempt((made) => made.delete(store, key));

/** Everything of a store as [key, value]. */
export async function entries(store) {
  const all = await keys(store);
  return Promise.all(all.map(async (key) => [key, await get(store, key)]));
}

/** The picture of an edit that was sent from here, or null. */
export async function sentPicture(id) {
  const { source } = (await get("inputs", id)) ?? {};
  return source?.blob ?? get("pictures", id);
}
