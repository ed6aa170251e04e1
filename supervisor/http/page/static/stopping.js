/**
 * Stops scenarios: one question, then one call for each, a few at a time.
 * @module
 */

import { call, scenarioPath } from "./api.js";
import { ask } from "./asking.js";
import { board } from "./board.js";
import { plural } from "./format.js";

/** Leaves connections of this browser for looking meanwhile. */
const AT_ONCE = 3;

/** Ids of scenarios that are being stopped. */
export const stopping = new Set();

/** Whether a scenario has nothing left to stop, so that only its row goes. */
export const isOver = (row) => row.state === "finished";

/**
 * Ask, unless all of them have finished, then stop and remove scenarios.
 * @param {Object[]} rows
 * @param {string} whose what they are called in the question: "cpu_usage", "all 12 scenarios"
 * @returns {Promise<string>} what came of it; empty when the answer was no
 */
export async function stop(rows, whose) {
  const active = rows.filter((row) => !isOver(row)).length;
  if (rows.length === 0 || (active > 0 && !(await ask(`Stop ${whose}?`, consequence(rows, active), "Stop")))) return "";
  const failures = new Map();
  const waiting = rows.filter((row) => !stopping.has(row.id));
  for (const row of waiting) stopping.add(row.id);
  board.dispatchEvent(new Event("change"));
  const total = waiting.length;
  const work = async () => {
    for (let row = waiting.shift(); row !== undefined; row = waiting.shift()) {
      try {
        await call("DELETE", scenarioPath(row.id));
      } catch (error) {
        if (error.status !== 404) failures.set(row.name, error.message);
      } finally {
        stopping.delete(row.id);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  await board.refresh();
  return outcome(total, active, failures);
}

function consequence(rows, active) {
  const over = rows.length - active;
  const removed = over > 0 ? ` ${plural(over, "finished one")} will be removed from the list.` : "";
  return `What its sinks hold is delivered first; then the scenarios leave the list, with their counters.${removed}`;
}

function outcome(total, active, failures) {
  const verb = active > 0 ? "Stopped" : "Removed";
  if (failures.size === 0) return `${verb} ${plural(total, "scenario")}.`;
  const [[name, why]] = failures;
  return `${verb} ${total - failures.size} of ${plural(total, "scenario")}. ${name}: ${why}`;
}
