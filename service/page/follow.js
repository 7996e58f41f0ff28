// Follow an edit to its end: by server-sent events, read with fetch because EventSource sends no key; by asking again
// after Retry-After where the service has none.

import { ProblemError, call } from "./api.js";

const PAUSE_S = 1;
const PAUSE_MAX_S = 20;
const TERMINAL = ["succeeded", "failed", "canceled"];

export const isOver = ({ state }) => TERMINAL.includes(state);

/**
 * Call `update` with the edit whenever it changes, until it is over; null: it was deleted. `waiting` hears of an outage
 * (true) and its end (false). Ends early when `signal` does.
 */
export async function follow(edit, update, waiting, signal) {
  const seen = { edit, last: "" };
  let pause = PAUSE_S;
  while (!signal.aborted && seen.edit && !isOver(seen.edit)) {
    try {
      const wait = seen.edit.links.events ? await stream(seen, update, signal) : await poll(seen, update, signal);
      waiting(false);
      pause = PAUSE_S;
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

async function stream(seen, update, signal) {
  const headers = seen.last ? { "Last-Event-ID": seen.last } : {};
  const response = await call(seen.edit.links.events, { headers, signal });
  if (response.status === 204) return poll(seen, update, signal);
  for await (const event of events(response.body)) {
    if (signal.aborted) return PAUSE_S;
    if (event.id) seen.last = event.id;
    if (event.name === "deleted") seen.edit = null;
    else if (event.name === "state") seen.edit = JSON.parse(event.data);
    else if (event.name === "progress") seen.edit = { ...seen.edit, ...JSON.parse(event.data) };
    else continue;
    update(seen.edit);
    if (!seen.edit || isOver(seen.edit)) break;
  }
  return PAUSE_S;
}

/** The events of a stream (WHATWG HTML, 9.2.6), without what only EventSource itself needs. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) yield parse(block);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
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
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
