// What the page knows, and who wants to hear of a change.

export const state = {
  /** The picture to edit: {url, width, height, blob, name, edit?: id, result?: number, isDemo?: boolean}. */
  source: null,
  /** The models of the service, by name, and which one is the default. */
  models: new Map(),
  defaultModel: null,
  /** The methods and inversions of the service, by name. */
  methods: new Map(),
  inversions: new Map(),
  /** The edit that is shown, as the service gave it. */
  edit: null,
  /** What the stage shows: "mask" or "result". */
  view: "mask",
};

const listeners = new Map();

/** Call `listener` with the details of every `topic`. */
export function on(topic, listener) {
  listeners.set(topic, [...(listeners.get(topic) ?? []), listener]);
}

/** Tell all who listen. */
export function emit(topic, detail) {
  for (const listener of listeners.get(topic) ?? []) listener(detail);
}
