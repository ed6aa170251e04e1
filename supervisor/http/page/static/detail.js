/**
 * One scenario: its lines, its figures, its text, and what can be changed of it.
 * @module
 */

import { read, scenarioPath } from "./api.js";
import { board } from "./board.js";
import { DetailPage } from "./detail_page.js";
import { byId, isIdle, setClass, setIdle, setText, tell } from "./dom.js";
import { Gone } from "./failures.js";
import { announce } from "./overview.js";
import { Poller } from "./poller.js";
import { isOver, stop, stopping } from "./stopping.js";

const PAUSE_MS = 2000;
const SAMPLES = 20;
const UNKNOWN = "There is no such scenario: it was stopped or removed, or the daemon has been started anew without it.";

const body = byId("detail-body");
const button = byId("detail-stop");
const poller = new Poller(look, () => PAUSE_MS);
let id = "";
let page = null;

/** The view, as the router uses it; the address names a scenario by its id. */
export const detail = { element: byId("detail"), title: byId("detail-title"), show, hide };

function show(name) {
  if (name !== id) hide();
  id = name;
  setText(byId("detail-id"), id);
  setText(detail.title, board.row(id)?.name ?? "Scenario");
  update();
  poller.start();
}

function hide() {
  poller.stop();
  page?.destroy();
  page = null;
  body.replaceChildren();
}

/** What is asked for this scenario alone; the rest is in every look at the board. */
async function look() {
  const asked = id;
  try {
    const [scenario, samples] = await Promise.all([
      read(scenarioPath(asked)),
      read(`${scenarioPath(asked)}/metrics?mode=recent&limit=${SAMPLES}`),
    ]);
    if (asked !== id || detail.element.hidden) return;
    page ??= new DetailPage(body, scenario, () => poller.now());
    page.showScenario(scenario, samples ?? "");
    update();
    tell(byId("detail-result"), "");
  } catch (error) {
    if (asked !== id) return;
    if (error.status === 404) poller.stop();
    if (!(error instanceof Gone)) tell(byId("detail-result"), error.status === 404 ? UNKNOWN : error.message);
  }
}

function update() {
  if (detail.element.hidden) return;
  const row = board.row(id);
  button.hidden = byId("detail-state").hidden = row === undefined;
  byId("detail-gates").hidden =
    row === undefined || !board.rows.some((one) => one.body_id === row.body_id && one.links.length > 0);
  if (row === undefined) return;
  setText(detail.title, row.name);
  setText(byId("detail-state"), row.degraded ? `${row.state}, degraded` : row.state);
  setClass(byId("detail-state"), `state ${row.degraded ? "degraded" : row.state}`);
  setText(button, stopping.has(id) ? "Stopping" : isOver(row) ? "Remove" : "Stop…");
  setIdle(button, stopping.has(id));
  byId("detail-gates").setAttribute("href", `#/gates/${encodeURIComponent(row.body_id)}`);
  page?.showRow(row, board.history.of(id));
}

button.addEventListener("click", async () => {
  if (isIdle(button)) return;
  const row = board.row(id);
  const outcome = await stop([row], row.name);
  if (outcome === "") return;
  announce(outcome, []);
  if (board.row(row.id) === undefined) location.hash = "#/";
});
board.addEventListener("change", update);
