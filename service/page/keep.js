// The pictures that were sent from here, kept in this browser, so that an edit can be compared with its picture later.

const NAME = "magedit";
const STORE = "pictures";
const MOST = 40;

let opened = null;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Keep the picture of an edit. A browser that keeps nothing (private windows) only loses the comparison. */
export async function put(id, blob) {
  try {
    const store = (await database()).transaction(STORE, "readwrite").objectStore(STORE);
    await done(store.put(blob, id));
    // Ids sort by the time of their making.
    const ids = await done(store.getAllKeys());
    for (const old of ids.slice(0, -MOST)) await done(store.delete(old));
  } catch (error) {
    console.info("The picture is not kept:", error.message);
  }
}

/** The picture of an edit, or null. */
export async function get(id) {
  try {
    const found = await done((await database()).transaction(STORE).objectStore(STORE).get(id));
    return found ?? null;
  } catch {
    return null;
  }
}
