/**
 * The table of all scenarios.
 * @module
 */

import { board } from "./board.js";
import { byId, h, onThemeChange, setText, tell } from "./dom.js";
import { count, plural } from "./format.js";
import { Rows } from "./rows.js";
import { GroupRow, ScenarioRow } from "./scenario_row.js";
import { byState, grouped, selected, single } from "./selection.js";
import { isOver, stop } from "./stopping.js";

/** Columns in order: what sorts by them, what their head says, and how their cells are set. */
const COLUMNS = [
  ["name", "name", "name"],
  ["scenario_name", "scenario_name", "whole wide"],
  ["state", "state", "states"],
  ["rate", "events/s", "n speed"],
  ["target", "target", "n speed wide"],
  [null, "last 2 min", "spark"],
  ["events", "events", "n total middle"],
  ["errors", "errors", "n speed middle"],
  ["late", "late p99", "n speed wide"],
  ["sink", "sink", "sink wide"],
  [null, "", "act"],
];
const ROW_HEIGHT = 28;
const NOTHING = "Nothing runs. Start a scenario, or post one: sondad post FILE.";

const choice = { words: "", states: new Set(), column: null, falling: false };
const closed = new Set();
const viewport = byId("rows");
const stopAll = byId("stop-all");
const rows = new Rows(viewport, byId("rows-body"), ROW_HEIGHT, {
  scenario: () => new ScenarioRow(stopRows, (id) => fresh.has(id)),
  group: () => new GroupRow(stopRows, toggleGroup, COLUMNS.length),
});
let shown = [];
let fresh = new Set();

/** The view, as the router uses it. */
export const overview = { element: byId("overview"), title: byId("overview-title"), show };

function show() {
  update();
  const place = shown.findIndex((item) => item.kind === "scenario" && fresh.has(item.row.id));
  if (place >= 0) rows.reveal(place);
}

function update() {
  if (overview.element.hidden) return;
  const listed = selected([...board.rows], choice);
  shown = byId("grouped").checked ? grouped(listed, closed) : single(listed);
  rows.show(shown);
  showStates();
  const isWhole = listed.length === board.rows.length;
  const inAll = count(board.rows.length);
  setText(byId("count"), isWhole ? plural(board.rows.length, "scenario") : `${count(listed.length)} of ${inAll}`);
  const active = listed.filter((row) => !isOver(row)).length;
  const verb = active > 0 ? "Stop" : "Remove";
  setText(stopAll, isWhole ? `${verb} all…` : `${verb} these ${count(listed.length)}…`);
  stopAll.disabled = listed.length === 0;
  const empty = board.rows.length === 0 ? NOTHING : "No scenario matches the filter.";
  tell(byId("no-rows"), board.isKnown && listed.length === 0 ? empty : "");
}

/**
 * Say what has come of something, and mark these scenarios until something else is said.
 * @param {string} text
 * @param {string[]} ids
 */
export function announce(text, ids) {
  tell(byId("overview-result"), text);
  fresh = new Set(ids);
}

async function stopRows(chosen, whose) {
  tell(byId("overview-result"), "");
  tell(byId("overview-result"), await stop(chosen, whose));
}

function toggleGroup(name) {
  if (!closed.delete(name)) closed.add(name);
  update();
}

function showStates() {
  const counts = byState(board.rows);
  for (const state of choice.states) if (!counts.has(state)) counts.set(state, 0);
  const place = byId("states");
  const chips = new Map([...place.children].map((chip) => [chip.dataset.state, chip]));
  for (const [state, number] of counts) {
    const chip = chips.get(state) ?? place.appendChild(newChip(state));
    setText(chip, `${state} ${count(number)}`);
    chip.setAttribute("aria-pressed", choice.states.has(state));
    chips.delete(state);
  }
  for (const chip of chips.values()) chip.remove();
}

function newChip(state) {
  const toggle = () => {
    if (!choice.states.delete(state)) choice.states.add(state);
    update();
  };
  return h("button", { type: "button", class: `chip ${state}`, "data-state": state, onclick: toggle });
}

function head([column, label, name]) {
  if (column === null) return h("th", { scope: "col", class: name }, label || h("span", { class: "hidden" }, "action"));
  const button = h("button", { type: "button", onclick: () => sortBy(column) }, label);
  return h("th", { scope: "col", class: name, "data-column": column }, button);
}

function sortBy(column) {
  const isNumber = !["name", "scenario_name", "state", "sink"].includes(column);
  if (choice.column !== column) Object.assign(choice, { column, falling: isNumber });
  else if (choice.falling === isNumber) choice.falling = !isNumber;
  else choice.column = null;
  for (const cell of byId("columns").children) {
    const isSorted = cell.dataset.column === choice.column && choice.column !== null;
    if (isSorted) cell.setAttribute("aria-sort", choice.falling ? "descending" : "ascending");
    else cell.removeAttribute("aria-sort");
  }
  update();
}

/** Up and down go from row to row, Home and End to the first and the last; "/" goes to the filter. */
function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || overview.element.hidden) return;
  const isTyping =
    event.target.matches("input:not([type=checkbox]), textarea, select") ||
    document.querySelector("dialog[open]") !== null;
  if (event.key === "/" && !isTyping) {
    event.preventDefault();
    byId("filter").focus();
    return;
  }
  const steps = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };
  if (!(event.key in steps) || (event.target !== viewport && !viewport.contains(event.target))) return;
  if (shown.length === 0) return;
  event.preventDefault();
  const place = rows.placeOf(event.target) + steps[event.key];
  rows
    .reveal(Math.min(Math.max(place, 0), shown.length - 1))
    ?.querySelector("a, button")
    ?.focus();
}

byId("columns").append(...COLUMNS.map(head));
byId("filter").addEventListener("input", (event) => {
  choice.words = event.target.value;
  update();
});
byId("grouped").addEventListener("change", update);
stopAll.addEventListener("click", () => {
  const chosen = selected([...board.rows], choice);
  const whose =
    chosen.length === board.rows.length
      ? `all ${plural(chosen.length, "scenario")}`
      : plural(chosen.length, "scenario");
  stopRows(chosen, whose);
});
document.addEventListener("keydown", onKey);
board.addEventListener("change", update);
onThemeChange(update);
