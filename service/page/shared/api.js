// Calls of the service: the key, problem documents, pictures.

import { text } from "../strings.js";
import { emit } from "./state.js";

const KEY = "magedit-api-key";
const PICTURES = 80; // kept in memory at a time, besides those that the page shows

/** An answer that is no success: `problem` is the service's document (RFC 9457), `retryAfter` is in seconds. */
export class ProblemError extends Error {
  constructor(problem, retryAfter = null) {
    super(problem.detail ?? problem.title);
    this.problem = { errors: [], ...problem };
    this.retryAfter = retryAfter;
  }
}

export const key = () => sessionStorage.getItem(KEY);

export function setKey(value) {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
  for (const { asked } of pictures.values()) asked.then(({ url }) => URL.revokeObjectURL(url)).catch(() => {});
  pictures.clear();
  emit("key");
}

/** Fetch `path`; what is no success is a ProblemError. */
export async function call(path, options = {}) {
  const headers = new Headers(options.headers);
  const used = key();
  if (used) headers.set("Authorization", `Bearer ${used}`);
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ProblemError({ ...text.errors.unreachable, status: 0, code: "unreachable" });
  }
  if (response.ok) return response;
  const fallback = { title: response.statusText || text.errors.error, detail: text.errors.status(response.status) };
  const problem = { ...fallback, ...(await response.json().catch(() => ({}))), status: response.status };
  // A late answer to a key that has been replaced meanwhile is no reason to ask again.
  if (response.status === 401 && used === key()) emit("key-needed", problem);
  throw new ProblemError(problem, Number(response.headers.get("Retry-After")) || null);
}

export const json = async (path, options) => (await call(path, options)).json();

const pictures = new Map(); // by address, the one that was asked for last at the end

/** The picture at `href` as {blob, url}; the key is sent along, so that an `img` can show what needs one. */
export function picture(href) {
  const entry = pictures.get(href) ?? fetched(href);
  pictures.delete(href);
  pictures.set(href, entry);
  return entry.asked;
}

function fetched(href) {
  const entry = { url: null };
  // The page's own policy forbids other hosts, a presigned address of the storage too.
  entry.asked = call(href.startsWith("/v1/") ? `${href}?redirect=false` : href)
    .then((response) => response.blob())
    .then((blob) => {
      entry.url = URL.createObjectURL(blob);
      makeRoom(entry);
      return { blob, url: entry.url };
    });
  entry.asked.catch(() => pictures.get(href) === entry && pictures.delete(href));
  return entry;
}

/** Give up the pictures that were asked for longest ago, but none that is shown and not the `newest`. */
function makeRoom(newest) {
  for (const [href, entry] of pictures) {
    if (pictures.size <= PICTURES) return;
    const { url } = entry;
    if (!url || entry === newest || document.querySelector(`[src="${url}"], [href="${url}"]`)) continue;
    pictures.delete(href);
    URL.revokeObjectURL(url);
  }
}
