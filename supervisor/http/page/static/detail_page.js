/**
 * The parts of the view of one scenario.
 * @module
 */

import { h, setText } from "./dom.js";
import { bytes, count, rate, secs, span } from "./format.js";
import { Plot } from "./plot.js";
import { RetuneForm } from "./retune.js";
import { scrapeSnippet } from "./scrape_snippet.js";

const HEIGHT = 130;
const PLOTS = [
  {
    label: "Events per second",
    columns: ["rate", "target"],
    text: rate,
    inks: ["accent", "dim"],
    names: ["measured", "target"],
  },
  { label: "Lateness", columns: ["p50", "p99"], text: secs, inks: ["good", "warn"], names: ["p50", "p99"] },
  { label: "Errors per second", columns: ["errors"], text: rate, inks: ["bad"], names: ["errors"] },
];
/** Figures in order: a name, and a text from a row of the board. */
const FACTS = [
  ["events", ({ stats }) => count(stats.total_events)],
  ["bytes", ({ stats }) => bytes(stats.bytes_emitted)],
  ["acknowledged", ({ stats }) => count(stats.acknowledged_events)],
  ["errors", ({ stats }) => count(stats.errors)],
  ["lost", ({ stats }) => count(stats.lost_events)],
  ["rejected", ({ stats }) => count(stats.rejected_events)],
  ["in doubt", ({ stats }) => count(stats.in_doubt_events)],
  ["sink failures", ({ stats }) => count(stats.total_sink_failures)],
  ["in this state", ({ stats }) => span(stats.current_state_secs)],
  ["up", ({ stats }) => span(stats.uptime_secs)],
  ["duration", (row) => (row.duration_secs === null ? "until stopped" : span(row.duration_secs))],
  ["processor", ({ stats }) => span(stats.cpu_seconds)],
  ["wake-ups", ({ stats }) => count(stats.wakeups)],
  ["backlog", ({ stats }) => (stats.backlog_secs > 0 ? span(stats.backlog_secs) : "none")],
  ["sink", (row) => [row.sink.type, ...row.sink.addresses].join(" ")],
  ["process", (row) => (row.isolation === "shared" ? "shared" : "its own")],
  ["scenario_name", (row) => row.scenario_name ?? "none"],
];

export class DetailPage {
  #plots;
  #facts = FACTS.map(() => h("dd", { dir: "auto" }));
  #troubles = h("ul", { class: "troubles" });
  #samples = h("pre", { tabindex: "0", "aria-label": "Recent samples" });
  #config = h("pre", { tabindex: "0", "aria-label": "Configuration" });
  #holes = h("tbody");
  #retunes = h("tbody");
  #parts = {};

  /**
   * @param {HTMLElement} place
   * @param {Object} scenario the answer of `GET /scenarios/{id}`
   * @param {function(): void} again is called after a change
   */
  constructor(place, scenario, again) {
    const places = PLOTS.map(() => h("div", { class: "plot-place" }));
    const table = (heads, rows) =>
      h("table", {}, h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)))), rows);
    this.#parts = {
      troubles: part("Last errors", this.#troubles),
      holes: part("Missed ticks", table(["from", "to", "ticks", "why"], this.#holes)),
      retunes: part("Changes while it ran", table(["tick", "at", "what"], this.#retunes)),
    };
    place.replaceChildren(
      h(
        "div",
        { class: "plots" },
        ...PLOTS.map(({ label }, index) => h("section", {}, h("h2", {}, label), places[index])),
      ),
      this.#parts.troubles,
      h("dl", { class: "facts" }, ...FACTS.map(([name], index) => h("div", {}, h("dt", {}, name), this.#facts[index]))),
      h(
        "div",
        { class: "halves" },
        part("Change while it runs", new RetuneForm(scenario, again).element),
        this.#scraping(scenario),
      ),
      this.#parts.holes,
      this.#parts.retunes,
      h("div", { class: "halves" }, part("Recent samples", this.#samples), part("Configuration", this.#config)),
    );
    this.#plots = PLOTS.map(({ label, text, inks, names }, index) => {
      const lines = names.map((name, line) => ({ name, ink: inks[line] }));
      return new Plot(places[index], { label, lines, text, height: HEIGHT, isTime: true, fromZero: true });
    });
  }

  /** Show a row of the board and what was seen of it. */
  showRow(row, seen) {
    for (const [index, [, text]] of FACTS.entries()) setText(this.#facts[index], text(row));
    if (seen !== undefined) {
      for (const [index, { columns }] of PLOTS.entries()) {
        this.#plots[index].show([seen.times, ...columns.map((column) => seen[column])]);
      }
    }
    const { stats } = row;
    const troubles = [row.exit_reason, stats.last_sink_error, stats.last_rejection].filter((text) => text !== null);
    fill(this.#troubles, troubles, (text) => h("li", { dir: "auto" }, text));
    this.#parts.troubles.hidden = troubles.length === 0;
  }

  /** Show the answer of `GET /scenarios/{id}` and its recent samples. */
  showScenario(scenario, samples) {
    setText(this.#samples, samples.trimEnd() || "There are none: it has not emitted yet, or it emits logs.");
    setText(this.#config, JSON.stringify(scenario.config, null, 2));
    this.#table("holes", this.#holes, scenario.holes, (hole) => [
      hole.from,
      hole.to,
      count(hole.missed_ticks),
      hole.reason,
    ]);
    this.#table("retunes", this.#retunes, scenario.retunes, ({ tick, at, changes }) => [
      count(tick),
      at ?? "",
      JSON.stringify(changes),
    ]);
  }

  /** Give back what it holds. */
  destroy() {
    for (const plot of this.#plots) plot.destroy();
  }

  #table(name, rows, items = [], cells) {
    this.#parts[name].hidden = items.length === 0;
    fill(rows, items, (item) => h("tr", {}, ...cells(item).map((text) => h("td", { dir: "auto" }, text))));
  }

  #scraping(scenario) {
    const snippet = h(
      "pre",
      { tabindex: "0", "aria-label": "Prometheus scrape configuration" },
      scrapeSnippet(scenario),
    );
    const copy = async () => {
      getSelection().selectAllChildren(snippet);
      await navigator.clipboard?.writeText(snippet.textContent);
      setText(button, navigator.clipboard ? "Copied" : "Selected: copy it");
    };
    const button = h("button", { type: "button", class: "quiet", onclick: copy }, "Copy");
    return part("For Prometheus", snippet, button);
  }
}

function part(title, ...content) {
  return h("section", { class: "part" }, h("h2", {}, title), ...content);
}

/** Replace the children of `place` when they say something else. */
function fill(place, items, make) {
  const made = items.map(make);
  const text = (elements) => elements.map((element) => element.textContent).join("\n");
  if (text([...place.children]) !== text(made)) place.replaceChildren(...made);
}
