/**
 * Where the boxes of a graph stand: in columns, each to the right of all that it waits for. Pure.
 * @module
 */

const WIDTH = 214;
const HEIGHT = 48;
const BETWEEN_COLUMNS = 104;
const BETWEEN_ROWS = 14;

/**
 * A place for each node.
 * @typedef {{node: import("./graph.js").Node, x: number, y: number, width: number, height: number}} Box
 */

/**
 * @param {import("./graph.js").Node[]} nodes
 * @returns {{boxes: Box[], arrows: Array<{from: Box, to: Box, link: Object}>, width: number, height: number}}
 */
export function layout(nodes) {
  const all = [...nodes, ...strangers(nodes)];
  const links = all.flatMap((node) => node.links.map((link) => ({ from: watched(all, node, link), to: node, link })));
  const columns = inColumns(all, links);
  const boxes = new Map();
  for (const [place, column] of columns.entries()) {
    const sorted = place === 0 ? column : byMiddle(column, links, boxes);
    for (const [row, node] of sorted.entries()) {
      const x = place * (WIDTH + BETWEEN_COLUMNS);
      boxes.set(node, { node, x, y: row * (HEIGHT + BETWEEN_ROWS), width: WIDTH, height: HEIGHT });
    }
  }
  return {
    boxes: [...boxes.values()],
    arrows: links.map(({ from, to, link }) => ({ from: boxes.get(from), to: boxes.get(to), link })),
    width: columns.length * (WIDTH + BETWEEN_COLUMNS) - BETWEEN_COLUMNS,
    height: Math.max(...columns.map((column) => column.length), 1) * (HEIGHT + BETWEEN_ROWS) - BETWEEN_ROWS,
  };
}

/** Entries of other bodies that are watched, but are not among the nodes. */
function strangers(nodes) {
  const missing = new Map();
  for (const node of nodes) {
    for (const link of node.links) {
      if (watched(nodes, node, link) === undefined) missing.set(addressOf(link), stranger(link));
    }
  }
  return [...missing.values()];
}

function stranger(link) {
  const note = link.scenario_name === null ? "not there" : `of ${link.scenario_name}`;
  const identity = {
    key: addressOf(link),
    name: link.ref,
    entryId: link.ref,
    body: "",
    scenarioName: link.scenario_name,
  };
  return { ...identity, links: [], state: null, note, href: null };
}

const addressOf = (link) => `${link.scenario_name ?? ""}/${link.ref}`;

function watched(nodes, node, link) {
  return nodes.find((other) =>
    link.scenario_name === null || other.key === addressOf(link)
      ? other.entryId === link.ref && (other.body === node.body || other.key === addressOf(link))
      : other.entryId === link.ref && other.scenarioName === link.scenario_name,
  );
}

/** The column of a node is the length of the longest way to it. */
function inColumns(nodes, links) {
  const depths = new Map();
  const depthOf = (node) => {
    if (!depths.has(node)) {
      depths.set(node, 0);
      const before = links.filter(({ to }) => to === node).map(({ from }) => depthOf(from) + 1);
      depths.set(node, Math.max(0, ...before));
    }
    return depths.get(node);
  };
  const columns = [];
  for (const node of nodes) (columns[depthOf(node)] ??= []).push(node);
  return columns;
}

/** Each beside what it waits for, so that arrows cross little. */
function byMiddle(column, links, boxes) {
  const middle = (node) => {
    const before = links.filter(({ to, from }) => to === node && boxes.has(from)).map(({ from }) => boxes.get(from).y);
    return before.reduce((total, y) => total + y, 0) / Math.max(before.length, 1);
  };
  return [...column].sort((one, other) => middle(one) - middle(other));
}
