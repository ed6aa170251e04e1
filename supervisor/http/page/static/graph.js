/**
 * Entries as boxes and their gates as arrows, from what is watched to what watches.
 * @module
 */

import { h, setClass, setText, svg } from "./dom.js";
import { value } from "./format.js";
import { layout } from "./layout.js";

const MARGIN = 12;
const SHOWN_CHARACTERS = 25;

/**
 * What an entry waits for, as the daemon answers it; without a scenario_name an entry of the same body.
 * @typedef {{kind: string, scenario_name: ?string, ref: string, op: string, value: number}} Link
 */

/**
 * One entry of a body.
 * @typedef {Object} Node
 * @property {string} key
 * @property {string} name
 * @property {?string} entryId what other entries call it
 * @property {string} body shared by the entries of one body
 * @property {?string} scenarioName
 * @property {Link[]} links what it waits for
 * @property {?string} state null when it does not run
 * @property {string} note below its name
 * @property {?string} href where more is said of it
 */

export class Graph {
  #place;
  #shape = "";
  #boxes = new Map();
  #arrows = [];

  /** @param {HTMLElement} place */
  constructor(place) {
    this.#place = place;
  }

  /** Show these entries; while they are the same ones, only their states are set anew. */
  show(nodes) {
    const shape = JSON.stringify(nodes.map(({ key, name, links }) => [key, name, links]));
    if (shape !== this.#shape) {
      this.#shape = shape;
      this.#draw(nodes);
    }
    for (const node of nodes) this.#update(node);
  }

  #draw(nodes) {
    const { boxes, arrows, width, height } = layout(nodes);
    this.#boxes = new Map(boxes.map((box) => [box.node.key, drawnBox(box)]));
    this.#arrows = arrows.map((arrow) => ({ ...arrow, ...drawnArrow(arrow) }));
    const size = { width: width + 2 * MARGIN, height: height + 2 * MARGIN };
    const picture = svg(
      "svg",
      { ...size, viewBox: `${-MARGIN} ${-MARGIN} ${size.width} ${size.height}`, role: "group", "aria-label": "Gates" },
      svg("defs", {}, head("open"), head("closed"), head("waiting"), head("after")),
      ...this.#arrows.map(({ element }) => element),
      ...[...this.#boxes.values()].map(({ element }) => element),
    );
    this.#place.replaceChildren(picture, sentences(this.#arrows));
  }

  #update(node) {
    const box = this.#boxes.get(node.key);
    setText(box.note, node.note);
    setText(box.state, node.state ?? "");
    box.element.setAttribute("class", `box ${node.state ?? "planned"}`);
    for (const { link, to, path, word } of this.#arrows) {
      if (to.node.key !== node.key) continue;
      const look = link.kind === "after" ? "after" : gateOf(node.state);
      path.setAttribute("class", `arrow ${look}`);
      path.setAttribute("marker-end", `url(#head-${look})`);
      setText(
        word,
        `${node.name}: ${described(link)}${link.kind === "while" && node.state !== null ? `, now ${look}` : ""}`,
      );
    }
  }
}

/** What the state of an entry says about its gate. */
function gateOf(state) {
  if (state === "running") return "open";
  return state === "paused" || state === "held" ? "closed" : "waiting";
}

const described = ({ kind, scenario_name: body, ref, op, value: bound }) =>
  `${kind} ${body === null ? ref : `${body}/${ref}`} ${op} ${value(bound)}`;

function drawnBox({ node, x, y, width, height }) {
  const note = svg("text", { x: 22, y: 38, class: "note" });
  const state = svg("text", { x: width - 10, y: 38, class: "word" });
  const parts = [
    svg("title", {}, node.entryId === null ? node.name : `${node.name} (${node.entryId})`),
    svg("rect", { width, height, rx: 4 }),
    svg("circle", { cx: 12, cy: 17, r: 4 }),
    svg("text", { x: 22, y: 21, class: "name" }, shortened(node.name)),
    note,
    state,
  ];
  const content = node.href === null ? svg("g", {}, ...parts) : svg("a", { href: node.href }, ...parts);
  return { element: svg("g", { transform: `translate(${x} ${y})` }, content), note, state };
}

function drawnArrow({ from, to, link }) {
  const [x1, y1] = [from.x + from.width, from.y + from.height / 2];
  const [x2, y2] = [to.x - 7, to.y + to.height / 2];
  const bend = Math.max((x2 - x1) / 2, 20);
  const path = svg("path", { d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}` });
  const label = `${link.kind} ${link.op} ${value(link.value)}`;
  const text = svg("text", { x: (x1 + x2) / 2, y: (y1 + y2) / 2 - 5, class: "label" }, label);
  return { element: svg("g", {}, path, text), path, word: h("li") };
}

function head(look) {
  const tip = svg("path", { d: "M0 0L8 4L0 8Z", class: `tip ${look}` });
  const size = { markerWidth: 8, markerHeight: 8, refX: 1, refY: 4, orient: "auto", markerUnits: "userSpaceOnUse" };
  return svg("marker", { id: `head-${look}`, ...size }, tip);
}

/** The same in words, for those who do not see it, and for everybody when an arrow is hard to follow. */
function sentences(arrows) {
  return h("ul", { class: "sentences", "aria-label": "Gates in words" }, ...arrows.map(({ word }) => word));
}

function shortened(name) {
  const characters = [...name];
  return characters.length > SHOWN_CHARACTERS ? `${characters.slice(0, SHOWN_CHARACTERS - 1).join("")}…` : name;
}
