/**
 * Which scenarios the overview shows and in which order. Pure.
 * @module
 */

/** How a column orders scenarios. */
const ORDERS = {
  name: (row) => row.name,
  scenario_name: (row) => row.scenario_name ?? "",
  state: (row) => row.state,
  rate: (row) => row.stats.current_rate,
  target: (row) => row.stats.target_rate,
  events: (row) => row.stats.total_events,
  errors: (row) => row.stats.errors,
  late: (row) => row.stats.lateness_p99_secs ?? -1,
  sink: (row) => row.sink.type,
};

/**
 * What the user has chosen.
 * @typedef {Object} Choice
 * @property {string} words all of which a scenario must show
 * @property {Set<string>} states empty for all
 * @property {?string} column to sort by; null for the order of launch
 * @property {boolean} falling largest first
 */

/** Return the rows that match, in order. */
export function selected(rows, choice) {
  const words = choice.words
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  const found = rows.filter(
    (row) =>
      (choice.states.size === 0 || choice.states.has(row.state)) && words.every((word) => shown(row).includes(word)),
  );
  if (choice.column === null) return found;
  const of = ORDERS[choice.column];
  const sign = choice.falling ? -1 : 1;
  return found.sort((one, other) => sign * compared(of(one), of(other)));
}

/**
 * Return rows as items of the table, below a head for each `scenario_name`; those of a closed group are left out.
 * @param {Object[]} rows in order
 * @param {Set<string>} closed names of groups
 */
export function grouped(rows, closed) {
  const groups = new Map();
  for (const row of rows) {
    const name = row.scenario_name ?? "";
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(row);
  }
  return [...groups].flatMap(([name, members]) => [
    { key: `group ${name}`, kind: "group", name, members, isOpen: !closed.has(name) },
    ...(closed.has(name) ? [] : single(members)),
  ]);
}

/** Return rows as items of the table. */
export const single = (rows) => rows.map((row) => ({ key: row.id, kind: "scenario", row }));

/** How many scenarios are in each state, in the order of first sight. */
export function byState(rows) {
  const counts = new Map();
  for (const row of rows) counts.set(row.state, (counts.get(row.state) ?? 0) + 1);
  return counts;
}

function shown(row) {
  const parts = [row.name, row.scenario_name ?? "", row.state, row.degraded ? "degraded" : "", row.sink.type, row.id];
  return [...parts, ...row.sink.addresses].join("\n").toLowerCase();
}

function compared(one, other) {
  return typeof one === "string" ? one.localeCompare(other) : one - other;
}
