/**
 * Line plots that fill the width of their place and follow light and dark.
 * @module
 */

import { colour, onThemeChange } from "./dom.js";
import { span } from "./format.js";
import uPlot from "./uplot-1.6.32.js";

const FONT = "11px system-ui, sans-serif";
const plots = new Set();
onThemeChange(() => {
  for (const plot of plots) plot.redraw();
});

/**
 * One line.
 * @typedef {{name: string, ink: string}} Line ink: the name of a colour of the style sheet
 */

export class Plot {
  #plot;
  #place;
  #observer;
  #about;

  /**
   * @param {HTMLElement} place
   * @param {Object} about
   * @param {string} about.label what is shown, for those who do not see it
   * @param {Line[]} about.lines
   * @param {function(number): string} about.text how a value is written
   * @param {number} about.height in CSS pixels, legend not included
   * @param {boolean} about.isTime whether x is seconds since the epoch; else seconds since a start
   * @param {boolean} about.fromZero whether the scale begins at zero
   */
  constructor(place, about) {
    this.#place = place;
    this.#about = about;
    place.setAttribute("role", "img");
    const options = {
      width: Math.max(place.clientWidth, 100),
      height: about.height,
      cursor: { drag: { x: false, y: false }, points: { size: 5 } },
      legend: { show: true, live: true },
      scales: { x: { time: about.isTime }, y: { range: (_, low, high) => scaled(low, high, about.fromZero) } },
      axes: axes(about),
      series: [timeSeries(about), ...about.lines.map((line) => series(line, about))],
    };
    this.#plot = new uPlot(options, [[], ...about.lines.map(() => [])], place);
    this.#observer = new ResizeObserver(() => this.#fit());
    this.#observer.observe(place);
    plots.add(this.#plot);
    place.addEventListener("pointerleave", () => this.#tellLast());
  }

  /** Show columns of equal length: x, then one for each line; null is a gap. */
  show(columns) {
    this.#plot.setData(columns);
    // The plot draws, and empties its legend, in a microtask of its own.
    if (!this.#place.matches(":hover")) queueMicrotask(() => this.#tellLast());
    const said = this.#about.lines.map((line, index) => {
      const last = columns[index + 1].findLast((number) => number !== null);
      return `${line.name} ${last === undefined ? "unknown" : this.#about.text(last)}`;
    });
    this.#place.setAttribute("aria-label", `${this.#about.label}, latest: ${said.join(", ")}`);
  }

  /** Give back what it holds. */
  destroy() {
    plots.delete(this.#plot);
    this.#observer.disconnect();
    this.#plot.destroy();
  }

  /** Without a pointer the legend has the newest values. */
  #tellLast() {
    const { length } = this.#plot.data[0];
    if (length > 0) this.#plot.setLegend({ idx: length - 1 });
  }

  #fit() {
    const width = this.#place.clientWidth;
    if (width > 0 && width !== this.#plot.width) this.#plot.setSize({ width, height: this.#about.height });
  }
}

function series({ name, ink }, { text }) {
  return {
    label: name,
    stroke: () => colour(ink),
    width: 1.25,
    points: { show: false },
    value: (_, number) => text(number),
  };
}

function timeSeries({ isTime }) {
  return { label: "at", value: (_, secs) => (secs === null ? "" : isTime ? clock(secs) : span(secs)) };
}

function axes({ text, isTime }) {
  const common = {
    stroke: () => colour("dim"),
    grid: { stroke: () => colour("line"), width: 1 },
    ticks: { stroke: () => colour("line"), width: 1, size: 4 },
    font: FONT,
  };
  const x = { ...common, size: 24, gap: 2, space: 80 };
  x.values = (_, marks) => marks.map(isTime ? clock : span);
  return [x, { ...common, size: 58, gap: 3, values: (_, marks) => marks.map(text) }];
}

const clock = (secs) => new Date(secs * 1000).toLocaleTimeString("en-GB");

/** Some room above; a flat line stands in the middle. */
function scaled(low, high, fromZero) {
  if (low === null || high === null) return [0, 1];
  const room = (high - low) * 0.1 || Math.abs(high) * 0.1 || 1;
  return [fromZero ? 0 : low - room, high + room];
}
