/**
 * The list of texts to begin with: examples, files of the catalog, packs.
 * @module
 */

import { read } from "./api.js";
import { byId, h } from "./dom.js";

/**
 * A text to begin with.
 * @typedef {{name: string, title: string, text: ?string}} Pick a text of null cannot be had; the title says why
 */

/** Where they come from: a heading, a path, and picks of the answer. */
const SOURCES = [
  ["Examples", "examples", (answer) => answer.examples],
  ["Catalog", "catalog", (answer) => answer.entries.map(fromCatalog)],
  ["Packs", "packs", (answer) => answer.packs.map(fromPack)],
];

const list = byId("picks");
const filter = byId("pick-filter");

export class Picker {
  #use;
  #picks = new Map();
  #failures = new Map();

  /** @param {function(Pick): void} use is called with what was picked */
  constructor(use) {
    this.#use = use;
    filter.addEventListener("input", () => this.#show());
    list.addEventListener("keydown", (event) => this.#move(event));
  }

  /** Ask the daemon for what there is, unless it has answered before; a source that fails leaves the others. */
  async load() {
    const missing = SOURCES.filter(([heading]) => !this.#picks.has(heading));
    await Promise.all(missing.map((source) => this.#ask(...source)));
    if (missing.length > 0) this.#show();
  }

  async #ask(heading, path, picksOf) {
    try {
      this.#picks.set(heading, picksOf(await read(path)));
      this.#failures.delete(heading);
    } catch (error) {
      this.#failures.set(heading, error.message);
    }
  }

  #show() {
    const words = filter.value.toLowerCase();
    const matching = (pick) => `${pick.name}\n${pick.title}`.toLowerCase().includes(words);
    list.replaceChildren(...SOURCES.flatMap(([heading]) => this.#group(heading, matching)));
    // One stop for Tab; the arrows go on from there.
    list.querySelector(".pick:enabled")?.setAttribute("tabindex", "0");
  }

  #group(heading, matching) {
    if (this.#failures.has(heading)) {
      return [h("h2", {}, heading), h("p", { class: "bad" }, this.#failures.get(heading))];
    }
    const picks = (this.#picks.get(heading) ?? []).filter(matching);
    if (picks.length === 0) return [];
    return [h("h2", {}, heading), h("ul", {}, ...picks.map((pick) => h("li", {}, this.#entry(pick))))];
  }

  #entry(pick) {
    const properties = {
      type: "button",
      class: "pick",
      tabindex: "-1",
      title: pick.title,
      disabled: pick.text === null,
    };
    return h(
      "button",
      { ...properties, onclick: () => this.#use(pick) },
      h("span", { class: "mono" }, pick.name),
      h("span", { class: "dim" }, pick.title),
    );
  }

  #move(event) {
    const picks = [...list.querySelectorAll(".pick:enabled")];
    const places = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };
    if (!(event.key in places) || picks.length === 0) return;
    event.preventDefault();
    const before = picks.indexOf(document.activeElement);
    const next = picks[Math.min(Math.max(before + places[event.key], 0), picks.length - 1)];
    picks[Math.max(before, 0)].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}

function fromCatalog({ name, description, text, withheld }) {
  return { name, title: withheld ?? description ?? "", text };
}

function fromPack({ name, description, body, error }) {
  return { name, title: error ?? description ?? "", text: error === null ? body : null };
}
