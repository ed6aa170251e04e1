/**
 * What went wrong, in one plain sentence for each kind of answer.
 * @module
 */

import { plural, span } from "./format.js";

/** The daemon has answered something else than a success. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {Object} body what it said; empty when it said nothing
   * @param {{key: ?string, retryAfter: ?string}} about the key that was sent, and when to try again
   */
  constructor(status, body, { key = null, retryAfter = null } = {}) {
    super(sentence(status, body, key !== null, retryAfter));
    this.status = status;
    this.body = body;
    /** Mistakes in a posted text, with their places. */
    this.faults = body.faults ?? [];
    this.key = key;
  }
}

/** Nobody has answered. */
export class Gone extends Error {
  constructor() {
    super(
      `The daemon at ${location.host} does not answer. It is asked again until it does; nothing you typed is lost.`,
    );
  }
}

function sentence(status, body, withKey, retryAfter) {
  const said = body.detail ?? body.message ?? "";
  switch (status) {
    case 401:
      return withKey ? "The daemon does not accept this API key." : "The daemon asks for its API key.";
    case 403:
      return `The daemon does not let this page in: ${said || "forbidden"}.`;
    case 404:
      return "This does not exist any more: it was stopped or removed, or the daemon has been started anew.";
    case 408:
      return "The daemon took longer than --request-timeout, and has undone the call. It is busy: try again.";
    case 409:
      return body.conflicting_scenarios === undefined ? `This cannot be done now: ${said}.` : conflict(body);
    case 413:
      return "The text is longer than this daemon accepts. Shorten it, or raise --max-body-bytes.";
    case 400:
    case 422:
      return refusal(status, body, said);
    case 429:
      return `There is no room for more: ${said}. Stop some scenarios, or remove finished ones.`;
    case 503:
      if (body.error === "relay_unavailable") return `The relay does not answer: ${said}.`;
      return `The daemon has too much to do. Try again in ${retryAfter ? span(Number(retryAfter)) : "a moment"}.`;
    default:
      return status >= 500
        ? `The daemon failed (${status})${said ? `: ${said}` : ""}. Its log says more.`
        : `The daemon refused this (${status})${said ? `: ${said}` : ""}.`;
  }
}

function refusal(status, body, said) {
  const number = body.faults?.length ?? 0;
  if (number === 0) return said || `The daemon refused this (${status}).`;
  return status === 422
    ? `The text can be read, but ${number === 1 ? "a value is" : `${number} values are`} not valid.`
    : `The text has ${plural(number, "mistake")}.`;
}

function conflict(body) {
  const names = body.conflicting_scenarios.map((row) => row.name);
  const more = names.length > 5 ? ` and ${names.length - 5} more` : "";
  const listed = names.slice(0, 5).join(", ") + more;
  return `Scenarios of this scenario_name are active already: ${listed}. Stop them, or choose another name.`;
}
