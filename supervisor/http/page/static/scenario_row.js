/**
 * The two kinds of rows of the overview.
 * @module
 */

import { board } from "./board.js";
import { h, isIdle, setClass, setIdle, setText } from "./dom.js";
import { count, plural, rate, secs } from "./format.js";
import { byState } from "./selection.js";
import { drawSparkline } from "./sparkline.js";
import { isOver, stopping } from "./stopping.js";

/** Below this part of its target a running scenario is shown as slow. */
const SLOW = 0.9;
/** Characters of an address that are always shown at its end. */
const TAIL = 8;

/** One scenario. */
export class ScenarioRow {
  #row = null;
  #link = h("a", { dir: "auto" });
  #group = h("td", { class: "wide dim", dir: "auto" });
  #state = h("span");
  #rate = h("td", { class: "n" });
  #target = h("td", { class: "n wide dim" });
  #canvas = h("canvas", { "aria-hidden": "true" });
  #events = h("td", { class: "n middle" });
  #errors = h("td", { class: "n middle" });
  #late = h("td", { class: "n wide" });
  #sink = h(
    "td",
    { class: "sink wide dim" },
    h("span", { class: "address", dir: "ltr" }, h("span"), h("span", { class: "tail" })),
  );
  #button = h("button", { type: "button", class: "quiet", onclick: () => this.#onStop() });
  #stop;
  #isFresh;

  /**
   * @param {function(Object[], string): void} stop stops scenarios, after a question about what is named so
   * @param {function(string): boolean} isFresh whether the scenario of this id was just started here
   */
  constructor(stop, isFresh) {
    this.#stop = stop;
    this.#isFresh = isFresh;
    this.element = h(
      "tr",
      {},
      h("th", { scope: "row", class: "name" }, this.#link),
      this.#group,
      h("td", {}, this.#state),
      this.#rate,
      this.#target,
      h("td", { class: "spark" }, this.#canvas),
      this.#events,
      this.#errors,
      this.#late,
      this.#sink,
      h("td", { class: "act" }, this.#button),
    );
  }

  fill({ row }) {
    const { stats } = row;
    this.#row = row;
    setClass(this.element, this.#isFresh(row.id) ? "fresh" : "");
    setText(this.#link, row.name);
    if (this.#link.title !== row.name) this.#link.title = row.name;
    const place = `#/scenario/${encodeURIComponent(row.id)}`;
    if (this.#link.getAttribute("href") !== place) this.#link.setAttribute("href", place);
    setText(this.#group, row.scenario_name ?? "");
    setText(this.#state, row.degraded && row.state === "running" ? "degraded" : row.state);
    setClass(this.#state, `state ${row.degraded ? "degraded" : row.state}`);
    setText(this.#rate, rate(stats.current_rate));
    const isSlow =
      row.state === "running" && !stats.in_gap && row.elapsed_secs > 3 && stats.current_rate < SLOW * stats.target_rate;
    setClass(this.#rate, isSlow ? "n slow" : "n");
    setText(this.#target, rate(stats.target_rate));
    setText(this.#events, count(stats.total_events));
    setText(this.#errors, count(stats.errors));
    setClass(this.#errors, stats.errors > 0 ? "n middle bad" : "n middle");
    setText(this.#late, secs(stats.lateness_p99_secs));
    showAddress(this.#sink, [row.sink.type, ...row.sink.addresses].join(" "));
    const verb = stopping.has(row.id) ? "stopping" : isOver(row) ? "remove" : "stop";
    setText(this.#button, verb);
    setIdle(this.#button, stopping.has(row.id));
    const label = `${verb} ${row.name}`;
    if (this.#button.getAttribute("aria-label") !== label) this.#button.setAttribute("aria-label", label);
    drawSparkline(this.#canvas, board.history.of(row.id));
  }

  #onStop() {
    if (!isIdle(this.#button)) this.#stop([this.#row], this.#row.name);
  }
}

/** Show a text whose end matters as much as its beginning: what does not fit is left out before the tail. */
function showAddress(cell, text) {
  const [start, tail] = cell.firstElementChild.children;
  const characters = [...text];
  const cut = characters.length > 2 * TAIL ? characters.length - TAIL : characters.length;
  setText(start, characters.slice(0, cut).join(""));
  setText(tail, characters.slice(cut).join(""));
  if (cell.title !== text) cell.title = text;
}

/** The head of a group. */
export class GroupRow {
  #item = null;
  #toggle = h("button", { type: "button", class: "toggle", dir: "auto" });
  #states = h("span", { class: "dim" });
  #figures = h("span", { class: "dim" });
  #button = h("button", { type: "button", class: "quiet" });

  /**
   * @param {function(Object[], string): void} stop
   * @param {function(string): void} toggle opens or closes a group
   * @param {number} columns of the table
   */
  constructor(stop, toggle, columns) {
    this.#toggle.addEventListener("click", () => toggle(this.#item.name));
    this.#button.addEventListener("click", () => stop(this.#item.members, this.#whose()));
    const cell = h("th", { scope: "rowgroup", colspan: columns - 1 }, this.#toggle, this.#states, this.#figures);
    this.element = h("tr", { class: "group" }, cell, h("td", { class: "act" }, this.#button));
  }

  fill(item) {
    this.#item = item;
    const sum = (of) => item.members.reduce((total, row) => total + of(row.stats), 0);
    setText(this.#toggle, item.name || "without scenario_name");
    this.#toggle.setAttribute("aria-expanded", item.isOpen);
    setText(this.#states, [...byState(item.members)].map(([state, number]) => `${count(number)} ${state}`).join(", "));
    const [speed, events, errors] = [sum((s) => s.current_rate), sum((s) => s.total_events), sum((s) => s.errors)];
    setText(this.#figures, `${rate(speed)} events/s, ${count(events)} events, ${count(errors)} errors`);
    const verb = item.members.every(isOver) ? "remove" : "stop";
    setText(this.#button, `${verb} all`);
    this.#button.setAttribute("aria-label", `${verb} ${this.#whose()}`);
  }

  #whose() {
    const number = plural(this.#item.members.length, "scenario");
    return this.#item.name ? `all ${number} of ${this.#item.name}` : `all ${number} without scenario_name`;
  }
}
