/**
 * A table body of any length that has elements for what can be seen, and reuses them.
 * @module
 */

import { h } from "./dom.js";

const BEYOND = 6;

/**
 * One row on the page.
 * @typedef {Object} Row
 * @property {HTMLTableRowElement} element
 * @property {function(Object): void} fill shows an item
 */

/**
 * What a row shows; `key` is its own, `kind` says which row can show it.
 * @typedef {{key: string, kind: string}} Item
 */

export class Rows {
  #viewport;
  #body;
  #height;
  #makers;
  #above = spacer();
  #below = spacer();
  #items = [];
  #shown = new Map();
  #free = new Map();

  /**
   * @param {HTMLElement} viewport what scrolls
   * @param {HTMLTableSectionElement} body
   * @param {number} height of a row in CSS pixels, the same for all
   * @param {Object<string, function(): Row>} makers by kind
   */
  constructor(viewport, body, height, makers) {
    this.#viewport = viewport;
    this.#body = body;
    this.#height = height;
    this.#makers = makers;
    body.before(this.#above);
    body.after(this.#below);
    viewport.addEventListener("scroll", () => this.#place(), { passive: true });
    new ResizeObserver(() => this.#place()).observe(viewport);
  }

  /** Show these items; rows of items that were there before keep their elements. */
  show(items) {
    this.#items = items;
    this.#viewport.querySelector("table").setAttribute("aria-rowcount", items.length + 1);
    this.#place();
  }

  /** Bring the item at this place into view and return its element. */
  reveal(place) {
    const top = place * this.#height;
    const room = this.#viewport.clientHeight - 2 * this.#height;
    if (top < this.#viewport.scrollTop) this.#viewport.scrollTop = top;
    else if (top > this.#viewport.scrollTop + room) this.#viewport.scrollTop = top - room;
    this.#place();
    return this.#shown.get(this.#items[place].key)?.row.element;
  }

  /** Return the place of the item whose row contains an element, -1 when none does. */
  placeOf(element) {
    const found = [...this.#shown].find(([, { row }]) => row.element.contains(element));
    return found === undefined ? -1 : this.#items.findIndex((item) => item.key === found[0]);
  }

  #place() {
    const { scrollTop, clientHeight } = this.#viewport;
    const first = Math.max(Math.min(Math.floor(scrollTop / this.#height), this.#items.length) - BEYOND, 0);
    const seen = this.#items.slice(first, first + Math.ceil(clientHeight / this.#height) + 2 * BEYOND);
    this.#release(new Set(seen.map((item) => item.key)));
    let next = this.#body.firstElementChild;
    for (const [offset, item] of seen.entries()) {
      const { row } = this.#take(item);
      row.element.setAttribute("aria-rowindex", first + offset + 2);
      if (row.element === next) next = next.nextElementSibling;
      else this.#body.insertBefore(row.element, next);
      row.fill(item);
    }
    resize(this.#above, first * this.#height);
    resize(this.#below, (this.#items.length - first - seen.length) * this.#height);
  }

  #take(item) {
    const there = this.#shown.get(item.key);
    if (there !== undefined) return there;
    const taken = { kind: item.kind, row: this.#free.get(item.kind)?.pop() ?? this.#makers[item.kind]() };
    this.#shown.set(item.key, taken);
    return taken;
  }

  #release(kept) {
    for (const [key, { kind, row }] of this.#shown) {
      if (kept.has(key)) continue;
      if (row.element.contains(document.activeElement)) this.#viewport.focus({ preventScroll: true });
      row.element.remove();
      this.#shown.delete(key);
      if (!this.#free.has(kind)) this.#free.set(kind, []);
      this.#free.get(kind).push(row);
    }
  }
}

function spacer() {
  return h("tbody", { "aria-hidden": "true", class: "spacer" }, h("tr", {}, h("td")));
}

function resize(body, height) {
  body.hidden = height <= 0;
  body.firstElementChild.style.height = `${height}px`;
}
