// Follow an edit to its end: by server-sent events, read with fetch because EventSource sends no key; by asking again
// after Retry-After where the service has none.

import { ProblemError, call } from "../shared/api.js";

const PAUSE_S = 1;
const PAUSE_MAX_S = 20;
const SILENCE_S = 45; // The service says something every 15 s.
const PLACE_S = 4;
const TERMINAL = ["succeeded", "failed", "canceled"];

export const isOver = ({ state }) => TERMINAL.includes(state);

/**
 * Call `update` with the edit whenever it changes, until it is over; null: it was deleted. `waiting` hears of an outage
 * (true) and its end (false), `preview` what the edit looks like so far: {image: Blob, step, steps}. Ends early when
 * `signal` does.
 */
export async function follow(edit, update, waiting, signal, preview = null) {
  const seen = { edit, last: "", preview };
  let pause = PAUSE_S;
  const heard = () => {
    waiting(false);
    pause = PAUSE_S;
  };
  while (!signal.aborted && seen.edit && !isOver(seen.edit)) {
    try {
      const wait = seen.edit.links.events ? await stream(seen, update, heard, signal) : await poll(seen, update, signal);
      heard();
      if (seen.edit && !isOver(seen.edit)) await sleep(wait, signal);
    } catch (error) {
      if (signal.aborted) return;
      const status = error instanceof ProblemError ? error.problem.status : 0;
      if (status === 404 || status === 410) return void update(null);
      if (status && status < 500 && status !== 429) throw error;
      waiting(true);
      await sleep(error.retryAfter ?? pause, signal);
      pause = Math.min(pause * 2, PAUSE_MAX_S);
    }
  }
}

async function poll(seen, update, signal) {
  const response = await call(seen.edit.links.self, { signal });
  seen.edit = await response.json();
  if (!signal.aborted) update(seen.edit);
  return Number(response.headers.get("Retry-After")) || PAUSE_S;
}

/** One connection. It is given up when nothing comes for longer than a live one is silent: a connection that died
 * unseen (sleep, another network) says nothing at all. */
async function stream(seen, update, heard, signal) {
  const headers = seen.last ? { "Last-Event-ID": seen.last } : {};
  const own = new AbortController();
  const ended = AbortSignal.any([signal, own.signal]);
  let timer = 0;
  const listen = () => {
    clearTimeout(timer);
    timer = setTimeout(() => own.abort(), SILENCE_S * 1000);
  };
  listen();
  try {
    const query = seen.preview ? "?previews=true" : "";
    const response = await call(seen.edit.links.events + query, { headers, signal: ended });
    if (response.status === 204) return await poll(seen, update, signal);
    heard();
    askPlace(seen, update, ended);
    for await (const event of events(response.body, () => (listen(), heard()))) {
      if (signal.aborted) return PAUSE_S;
      if (event.id) seen.last = event.id;
      if (event.name === "deleted") seen.edit = null;
      else if (event.name === "state") seen.edit = JSON.parse(event.data);
      else if (event.name === "preview") {
        // A preview that cannot be shown is no loss.
        Promise.resolve(seen.preview(pictured(JSON.parse(event.data)))).catch(() => {});
        continue;
      } else if (event.name === "progress") seen.edit = { ...seen.edit, ...JSON.parse(event.data) };
      else continue;
      update(seen.edit);
      if (!seen.edit || isOver(seen.edit)) break;
    }
    return PAUSE_S;
  } finally {
    clearTimeout(timer);
    own.abort();
  }
}

/** While the edit waits, ask for its place in line: that changes with other edits, so that no event tells of it. */
async function askPlace(seen, update, signal) {
  for (;;) {
    await sleep(PLACE_S, signal);
    if (signal.aborted) return;
    if (seen.edit?.state !== "queued") continue;
    try {
      const { state, queue_position, eta_s } = await (await call(seen.edit.links.self, { signal })).json();
      // What the stream has told meanwhile is newer.
      if (signal.aborted || state !== "queued" || seen.edit?.state !== "queued") continue;
      seen.edit = { ...seen.edit, queue_position, eta_s };
      update(seen.edit);
    } catch {
      // The stream itself tells of an outage.
    }
  }
}

/** The events of a stream (WHATWG HTML, 9.2.6), without what only EventSource itself needs; `heard` is called for all
 * that comes, comments too. */
async function* events(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      heard();
      const blocks = (rest + value).split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) yield parse(block);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function pictured({ image, content_type: type, ...rest }) {
  return { ...rest, image: new Blob([Uint8Array.from(atob(image), (byte) => byte.charCodeAt(0))], { type }) };
}

function parse(block) {
  const event = { name: "message", id: "", data: "" };
  for (const line of block.split(/\r?\n/)) {
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line);
    if (field === "event") event.name = value;
    else if (field === "id") event.id = value;
    else if (field === "data") event.data += event.data ? `\n${value}` : value;
  }
  return event;
}

function sleep(seconds, signal) {
  return /** @type {Promise<void>} */ (new Promise((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  }));
}
