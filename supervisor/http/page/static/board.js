/**
 * What the daemon runs, as of the last look: the one thing that all views read.
 * @module
 */

import { read } from "./api.js";
import { Gone } from "./failures.js";
import { History } from "./history.js";
import { Poller } from "./poller.js";

const PAUSE_MS = 1000;
const GONE_PAUSE_MS = 2000;
const ANSWER_MS = 10_000;
/** A list of this length is asked for once a second, a longer one proportionally less often. */
const ROWS_A_SECOND = 500;

/** Dispatches `change` after every look, successful or not. */
class Board extends EventTarget {
  /** Rows of `GET /scenarios?stats=1`, in launch order. */
  rows = [];
  /** The answer of `GET /daemon`; null before the first. */
  daemon = null;
  /** Why the last look has failed; null when it has not. */
  fault = null;
  /** Whether there has been a successful look. */
  isKnown = false;
  history = new History();
  #byId = new Map();
  #poller = new Poller(
    () => this.#look(),
    () => this.#pauseMs(),
  );

  /** Look now and then from now on. */
  start() {
    this.#poller.start();
  }

  /** Look now; resolves when it is done. */
  refresh() {
    return this.#poller.now();
  }

  /** Return the row of a scenario; undefined when there is none. */
  row(id) {
    return this.#byId.get(id);
  }

  async #look() {
    const signal = AbortSignal.timeout(ANSWER_MS);
    try {
      const [list, daemon] = await Promise.all([read("scenarios?stats=1", { signal }), read("daemon", { signal })]);
      this.rows = list.scenarios;
      // Its counters stay as they were in its last second.
      for (const row of this.rows) if (row.state === "finished") row.stats.current_rate = 0;
      this.daemon = daemon;
      this.#byId = new Map(this.rows.map((row) => [row.id, row]));
      this.history.add(Date.now() / 1000, this.rows);
      this.isKnown = true;
      this.fault = null;
    } catch (error) {
      this.fault = error;
    }
    this.dispatchEvent(new Event("change"));
  }

  #pauseMs() {
    if (this.fault instanceof Gone) return GONE_PAUSE_MS;
    return PAUSE_MS * Math.max(1, this.rows.length / ROWS_A_SECOND);
  }
}

export const board = new Board();
