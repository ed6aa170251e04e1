/**
 * The entries of one body, with what they wait for.
 * @module
 */

import { board } from "./board.js";
import { byId, h, setText, tell } from "./dom.js";
import { plural, rate } from "./format.js";
import { Graph } from "./graph.js";

const choice = byId("bodies");
const graph = new Graph(byId("graph"));
let body = "";

/** The view, as the router uses it; the address may name a body by its id. */
export const gates = {
  element: byId("gates"),
  title: byId("gates-title"),
  show: (name) => {
    body = name || body;
    update();
  },
};

/** Bodies with gates by their id, each with its rows. */
function bodies() {
  const found = new Map();
  for (const row of board.rows) {
    if (!found.has(row.body_id)) found.set(row.body_id, []);
    found.get(row.body_id).push(row);
  }
  return new Map([...found].filter(([, rows]) => rows.some((row) => row.links.length > 0)));
}

function update() {
  if (gates.element.hidden || !board.isKnown) return;
  const found = bodies();
  if (!found.has(body)) body = found.keys().next().value ?? "";
  showChoice(found);
  const rows = found.get(body) ?? [];
  tell(byId("gates-result"), rows.length > 0 ? "" : "No scenario has a gate: none has `while` or `after` in its text.");
  byId("graph").hidden = rows.length === 0;
  setText(byId("gates-legend"), rows.length > 0 ? plural(rows.length, "scenario") : "");
  if (rows.length > 0) graph.show([...rows, ...watchedElsewhere(rows)].map(asNode));
}

/** Rows of other bodies that these rows watch. */
function watchedElsewhere(rows) {
  const addresses = rows.flatMap((row) => row.links.filter((link) => link.scenario_name !== null));
  const isWatched = (row) =>
    addresses.some((link) => link.scenario_name === row.scenario_name && link.ref === row.entry_id);
  return board.rows.filter((row) => row.body_id !== body && row.state !== "finished" && isWatched(row));
}

function asNode(row) {
  return {
    key: row.id,
    name: row.name,
    entryId: row.entry_id,
    body: row.body_id,
    scenarioName: row.scenario_name,
    links: row.body_id === body ? row.links : [],
    state: row.state,
    note: `${rate(row.stats.current_rate)} events/s`,
    href: `#/scenario/${encodeURIComponent(row.id)}`,
  };
}

function showChoice(found) {
  const known = [...choice.options].map((option) => option.value).join("\n");
  if (known !== [...found.keys()].join("\n")) {
    choice.replaceChildren(...[...found].map(([id, rows]) => h("option", { value: id }, titleOf(rows))));
  }
  choice.value = body;
  choice.parentElement.hidden = found.size === 0;
}

const titleOf = ([first, ...others]) =>
  first.scenario_name ?? (others.length > 0 ? `${first.name} and ${others.length} more` : first.name);

choice.addEventListener("change", () => {
  location.hash = `#/gates/${encodeURIComponent(choice.value)}`;
});
board.addEventListener("change", update);
