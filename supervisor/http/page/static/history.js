/**
 * What this page has seen of each scenario in the last minutes. The daemon keeps counters only, so lines begin when the
 * page is opened.
 * @module
 */

const KEPT_SECS = 300;

/**
 * Columns of equal length, oldest first.
 * @typedef {Object} Seen
 * @property {number[]} times seconds since the epoch, by the clock of this browser
 * @property {number[]} rate events per second
 * @property {number[]} target events per second
 * @property {Array<?number>} p50 seconds
 * @property {Array<?number>} p99 seconds
 * @property {number[]} errors lost events per second
 * @property {number} total lost events at the last look
 */

export class History {
  #seen = new Map();

  /** Add a look at all scenarios; those that are not among them are forgotten. */
  add(now, rows) {
    const before = this.#seen;
    this.#seen = new Map(rows.map((row) => [row.id, extended(before.get(row.id) ?? empty(row), now, row.stats)]));
  }

  /** Return what was seen of a scenario; undefined before the first look. */
  of(id) {
    return this.#seen.get(id);
  }
}

function empty(row) {
  return { times: [], rate: [], target: [], p50: [], p99: [], errors: [], total: row.stats.errors };
}

function extended(seen, now, stats) {
  const passed = seen.times.length > 0 ? now - seen.times.at(-1) : 1;
  const look = {
    times: now,
    rate: stats.current_rate,
    target: stats.target_rate,
    p50: stats.lateness_p50_secs,
    p99: stats.lateness_p99_secs,
    errors: Math.max(stats.errors - seen.total, 0) / Math.max(passed, 0.001),
  };
  for (const [name, number] of Object.entries(look)) seen[name].push(number);
  while (seen.times[0] < now - KEPT_SECS) for (const name of Object.keys(look)) seen[name].shift();
  seen.total = stats.errors;
  return seen;
}
