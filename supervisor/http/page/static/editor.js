/**
 * A text area with line numbers, and marks at the lines that have a mistake.
 * @module
 */

import { h, setText } from "./dom.js";

/** As in the style sheet, in CSS pixels. */
const LINE_HEIGHT = 18;
const PADDING = 8;
const TAB_COLUMNS = 2;

/**
 * A mistake in the text.
 * @typedef {{path: string, line: ?number, column: ?number, message: string, hint: ?string}} Fault
 */

export class Editor {
  #area;
  #numbers = h("div", { class: "numbers" });
  #spots = h("div", { class: "spots" });
  #marks = h("div", { class: "layer" });
  #lines = 0;

  /**
   * @param {HTMLTextAreaElement} area
   * @param {HTMLElement} gutter for the numbers
   * @param {HTMLElement} sheet behind the text, for the marks
   */
  constructor(area, gutter, sheet) {
    this.#area = area;
    gutter.append(this.#spots, this.#numbers);
    sheet.append(this.#marks);
    area.addEventListener("scroll", () => this.#scroll(), { passive: true });
    area.addEventListener("input", () => this.#count());
    this.#count();
  }

  get text() {
    return this.#area.value;
  }

  set text(text) {
    this.#area.value = text;
    this.#area.scrollTo(0, 0);
    this.#count();
  }

  /** Mark the lines of these mistakes, and no others. Those without a place are not marked. */
  mark(faults) {
    const lines = this.text.split("\n");
    const placed = faults.filter((fault) => fault.line !== null);
    this.#marks.replaceChildren(
      ...[...byLine(placed)].map(([line, there]) => band(line, there, lines[line - 1] ?? "")),
    );
    this.#spots.replaceChildren(...placed.map((fault) => at(h("span", { class: "spot" }), fault.line)));
    this.#area.setAttribute("aria-invalid", faults.length > 0);
    this.#scroll();
  }

  /** Put the cursor where a mistake is. */
  goTo(fault) {
    const lines = this.text.split("\n");
    const before = lines.slice(0, fault.line - 1).reduce((total, line) => total + line.length + 1, 0);
    const start = before + Math.min(Math.max((fault.column ?? 1) - 1, 0), lines[fault.line - 1]?.length ?? 0);
    this.#area.focus();
    this.#area.setSelectionRange(start, before + (lines[fault.line - 1]?.length ?? 0));
    this.#area.scrollTop = (fault.line - 1) * LINE_HEIGHT - this.#area.clientHeight / 2;
  }

  #count() {
    const lines = this.text.split("\n").length;
    if (lines !== this.#lines) {
      this.#lines = lines;
      setText(this.#numbers, Array.from({ length: lines }, (_, index) => index + 1).join("\n"));
    }
    this.#scroll();
  }

  #scroll() {
    const { scrollTop, scrollLeft } = this.#area;
    this.#numbers.style.transform = this.#spots.style.transform = `translateY(${-scrollTop}px)`;
    this.#marks.style.transform = `translate(${-scrollLeft}px, ${-scrollTop}px)`;
  }
}

function byLine(faults) {
  const lines = new Map();
  for (const fault of faults) lines.set(fault.line, [...(lines.get(fault.line) ?? []), fault]);
  return lines;
}

function band(line, faults, text) {
  const words = faults.map((fault) => (fault.hint ? `${fault.hint} – ${fault.message}` : fault.message));
  const note = h("span", { class: "note" }, words.join("; "));
  note.style.marginLeft = `${columns(text) + 2}ch`;
  return at(h("div", { class: "band" }, note), line);
}

function columns(text) {
  return [...text].reduce((total, character) => total + (character === "\t" ? TAB_COLUMNS : 1), 0);
}

function at(element, line) {
  element.style.top = `${PADDING + (line - 1) * LINE_HEIGHT}px`;
  return element;
}
