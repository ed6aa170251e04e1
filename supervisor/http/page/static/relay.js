/**
 * What the relay knows: its checks, its dead letters, its health.
 * @module
 */

import { daemonTime, read } from "./api.js";
import { board } from "./board.js";
import { byId, h, setClass, setText, tell } from "./dom.js";
import { Gone } from "./failures.js";
import { count, plural, span } from "./format.js";
import { Poller } from "./poller.js";
import { Rows } from "./rows.js";

const PAUSE_MS = 2000;
const CHECKS = 1000;
const LETTERS = 50;
const ROW_HEIGHT = 28;
const COLUMNS = 7;
const NONE = "This daemon has no relay. Give it one: sondad serve --relay FILE.";

const poller = new Poller(look, () => PAUSE_MS);
const rows = new Rows(byId("checks"), byId("checks-body"), ROW_HEIGHT, {
  client: () => new ClientRow(),
  check: () => new CheckRow(),
});
let listing = { checks: [], total: 0 };

/** The view, as the router uses it. */
export const relay = {
  element: byId("relay"),
  title: byId("relay-title"),
  show: () => poller.start(),
  hide: () => poller.stop(),
};

/** A line above the checks of one client. */
class ClientRow {
  #name = h("span", { class: "mono", dir: "auto" });
  #states = h("span", { class: "dim" });
  element = h("tr", { class: "group" }, h("th", { scope: "rowgroup", colspan: COLUMNS }, this.#name, this.#states));

  fill({ client, checks }) {
    setText(this.#name, client);
    const counts = new Map();
    for (const check of checks) counts.set(statusOf(check), (counts.get(statusOf(check)) ?? 0) + 1);
    const listening = checks[0].listening ? "" : ", not listening";
    setText(this.#states, [...counts].map(([status, number]) => `${count(number)} ${status}`).join(", ") + listening);
  }
}

/** One check. */
class CheckRow {
  #name = h("th", { scope: "row", class: "name", dir: "auto" });
  #status = h("span");
  #cells = ["n", "n middle", "n wide", "n wide", "message"].map((name) => h("td", { class: name }));
  element = h("tr", {}, this.#name, h("td", {}, this.#status), ...this.#cells);

  fill({ check }) {
    setText(this.#name, check.check);
    setText(this.#status, check.stale ? `${statusOf(check)}, stale` : statusOf(check));
    setClass(this.#status, `state ${check.stale ? "stale" : statusOf(check)}`);
    const texts = [
      age(check.updated_at),
      age(check.since),
      count(check.updates),
      count(check.forward.pending),
      check.message,
    ];
    for (const [place, text] of texts.entries()) setText(this.#cells[place], text);
    this.#cells.at(-1).title = check.message;
  }
}

async function look() {
  if (board.daemon === null) await board.refresh();
  if (!board.daemon?.relay) {
    for (const part of ["checks", "letters", "relay-problems"]) byId(part).hidden = true;
    tell(byId("relay-result"), board.daemon === null ? "" : NONE);
    return;
  }
  try {
    const [state, checks, letters] = await Promise.all([
      health(),
      read(`relay/checks?limit=${CHECKS}`),
      read(`relay/deadletters?limit=${LETTERS}`),
    ]);
    tell(byId("relay-result"), "");
    byId("checks").hidden = false;
    listing = checks;
    showHealth(state);
    showChecks();
    showLetters(letters);
  } catch (error) {
    if (!(error instanceof Gone)) tell(byId("relay-result"), error.message);
  }
}

/** A relay that is not well answers 503, and says why. */
async function health() {
  try {
    return await read("relay/health");
  } catch (error) {
    if (error.body?.problems !== undefined) return error.body;
    throw error;
  }
}

function showHealth({ status, problems }) {
  setText(byId("relay-health"), status);
  setClass(byId("relay-health"), `state ${status === "OK" ? "ok" : "warn"}`);
  const place = byId("relay-problems");
  const shown = [...place.children].map((line) => line.textContent);
  if (shown.join("\n") !== problems.join("\n"))
    place.replaceChildren(...problems.map((problem) => h("li", {}, problem)));
  place.hidden = problems.length === 0;
}

function showChecks() {
  const words = byId("relay-filter")
    .value.toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  const matching = listing.checks.filter((check) => words.every((word) => shown(check).includes(word)));
  const clients = new Map();
  for (const check of matching) {
    if (!clients.has(check.client)) clients.set(check.client, []);
    clients.get(check.client).push(check);
  }
  rows.show(
    [...clients].flatMap(([client, checks]) => [
      { key: client, kind: "client", client, checks },
      ...checks.map((check) => ({ key: `${client}\n${check.check}`, kind: "check", check })),
    ]),
  );
  const isWhole = matching.length === listing.total;
  setText(
    byId("relay-count"),
    isWhole ? plural(listing.total, "check") : `${count(matching.length)} of ${count(listing.total)}`,
  );
}

function showLetters({ dead_letters: letters, total }) {
  byId("letters").hidden = total === 0;
  const more = total > letters.length ? `, the first ${count(letters.length)} of them` : "";
  setText(byId("letters-count"), `${plural(total, "dead letter")}${more}`);
  byId("letters-body").replaceChildren(...letters.map(letterRow));
}

function letterRow({ client, check, refused_at: refused, answer }) {
  return h(
    "tr",
    {},
    h("td", { dir: "auto" }, client),
    h("td", { dir: "auto" }, check),
    h("td", { class: "n" }, `${age(refused)} ago`),
    h("td", { class: "n" }, String(answer.status)),
    h("td", { class: "message" }, answer.body),
  );
}

const statusOf = (check) => check.status ?? "unknown";

const shown = ({ client, check, message, stale, ...rest }) =>
  [client, check, message, statusOf(rest), stale ? "stale" : ""].join("\n").toLowerCase();

function age(instant) {
  return instant === null ? "–" : span(Math.max(Math.round((daemonTime() - Date.parse(instant)) / 1000), 0));
}

byId("relay-filter").addEventListener("input", showChecks);
