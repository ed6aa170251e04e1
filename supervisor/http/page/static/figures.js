/**
 * The whole daemon, in one line above every view.
 * @module
 */

import { board } from "./board.js";
import { byId, h, setClass, setText } from "./dom.js";
import { bytes, count, rate, span } from "./format.js";

/** What is shown: a name, a text from the answer of `GET /daemon`, and whether it is a reason to look. */
const FIGURES = [
  ["events/s", (daemon) => rate(daemon.events_per_sec)],
  ["bytes/s", (daemon) => bytes(daemon.bytes_per_sec)],
  ["errors", (daemon) => count(daemon.errors_total), (daemon) => daemon.errors_total > 0],
  ["cores", cores],
  ["memory", (daemon) => bytes(daemon.memory_bytes)],
  ["workers", (daemon) => `${count(daemon.workers.running)} + ${count(daemon.workers.spare)}`],
  ["ticks", (daemon) => (daemon.overloaded ? "late" : "on time"), (daemon) => daemon.overloaded],
  ["up", (daemon) => span(daemon.uptime_secs)],
];

const shown = FIGURES.map(([name, text, isBad = () => false]) => {
  const place = h("dd", {}, "–");
  byId("figures").append(h("div", {}, h("dt", {}, name), place));
  return { place, text, isBad };
});

board.addEventListener("change", () => {
  if (board.daemon === null) return;
  for (const { place, text, isBad } of shown) {
    setText(place, text(board.daemon));
    setClass(place, isBad(board.daemon) ? "bad" : "");
  }
});

function cores(daemon) {
  return `${(daemon.cores_in_use ?? 0).toFixed(2)} of ${Number(daemon.cores.toFixed(1))}`;
}
