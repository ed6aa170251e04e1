/**
 * Requests to the daemon that this page came from.
 * @module
 */

import { Gone, Refused } from "./failures.js";

const KEY = "sondad-key";
const ROOT = new URL("../", document.baseURI);

/** The API key of this tab; null without one. */
export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (text) => sessionStorage.setItem(KEY, text),
  forget: () => sessionStorage.removeItem(KEY),
};

/** The address of the daemon, with the path below which it may stand. */
export const address = ROOT;

let aheadMs = 0;

/** The time by the daemon's clock, in milliseconds since the epoch, to a second: clocks of browsers may be wrong. */
export const daemonTime = () => Date.now() + aheadMs;

/**
 * Send one request and return what was answered: parsed JSON, a text, or null for an empty answer.
 * @param {string} method
 * @param {string} path relative to the daemon's root, without a leading slash
 * @param {{body?: string, type?: string, signal?: AbortSignal}} options
 * @throws {Refused} the status is no success
 * @throws {Gone} there is no answer
 */
export async function call(method, path, { body, type, signal } = {}) {
  const sent = key.get();
  const headers = {};
  if (sent !== null) headers.Authorization = `Bearer ${sent}`;
  if (type !== undefined) headers["Content-Type"] = type;
  let answer;
  let text;
  try {
    answer = await fetch(new URL(path, ROOT), {
      method,
      headers,
      body,
      signal,
      cache: "no-store",
      credentials: "omit",
    });
    text = await answer.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Gone();
  }
  const date = Date.parse(answer.headers.get("Date") ?? "");
  if (!Number.isNaN(date)) aheadMs = date - Date.now();
  const isJson = (answer.headers.get("Content-Type") ?? "").includes("json");
  const content = isJson && text !== "" ? JSON.parse(text) : text;
  if (answer.ok) return text === "" ? null : content;
  const retryAfter = answer.headers.get("Retry-After");
  throw new Refused(answer.status, isJson && text !== "" ? content : {}, { key: sent, retryAfter });
}

/** Read something. */
export const read = (path, options) => call("GET", path, options);

/** The path of one scenario. */
export const scenarioPath = (id) => `scenarios/${encodeURIComponent(id)}`;
