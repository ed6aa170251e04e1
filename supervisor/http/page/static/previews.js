/**
 * What a text would do: plots of the first minutes of each entry, and its gates.
 * @module
 */

import { h } from "./dom.js";
import { count, rate, short, span } from "./format.js";
import { Graph } from "./graph.js";
import { Plot } from "./plot.js";

const KINDS = { value: "value", mean: "mean", rate: "events/s" };
let plots = [];

/**
 * Show what the daemon has planned.
 * @param {HTMLElement} place
 * @param {?Object} plan the answer of a dry run; null shows nothing
 */
export function showPreviews(place, plan) {
  for (const plot of plots) plot.destroy();
  plots = [];
  place.replaceChildren();
  if (plan === null) return;
  if (plan.scenarios.some((scenario) => scenario.links.length > 0)) showGates(place, plan);
  const { preview } = plan;
  if (preview === null) return;
  for (const entry of preview.entries) place.append(card(plan.scenarios[entry.scenario], entry));
  for (const [index, entry] of preview.entries.entries()) draw(place.querySelectorAll(".preview-plot")[index], entry);
  if (preview.omitted > 0) place.append(h("p", { class: "dim" }, `${count(preview.omitted)} more are not shown.`));
  if (preview.error !== null) place.append(h("p", { class: "dim" }, `No values can be shown: ${preview.error}`));
}

function card(scenario, entry) {
  const lasts = scenario.duration_secs === null ? "until it is stopped" : `for ${span(scenario.duration_secs)}`;
  const begins = scenario.phase_offset_secs > 0 ? `, from ${span(scenario.phase_offset_secs)} on` : "";
  return h(
    "section",
    { class: "preview" },
    h("h3", { dir: "auto" }, scenario.name),
    h("p", { class: "dim" }, `${scenario.signal_type}, ${rate(scenario.rate)} events/s ${lasts}${begins}`),
    h("div", { class: "preview-plot" }),
    entry.lines.length > 0 ? h("pre", { tabindex: "0", "aria-label": "First events" }, entry.lines.join("\n")) : null,
  );
}

function draw(place, entry) {
  const lines = [{ name: KINDS[entry.kind] ?? entry.kind, ink: "accent" }];
  const plot = new Plot(place, { label: "Preview", lines, text: short, height: 110, isTime: false, fromZero: false });
  plot.show([entry.secs, entry.values]);
  plots.push(plot);
}

function showGates(place, plan) {
  const there = h("div", { class: "graph", role: "region", "aria-label": "Gates of this text", tabindex: "0" });
  place.append(there);
  new Graph(there).show(
    plan.scenarios.map((scenario, index) => ({
      key: String(index),
      name: scenario.name,
      entryId: scenario.entry_id,
      body: "",
      scenarioName: plan.scenario_name,
      links: scenario.links,
      state: null,
      note: `${rate(scenario.rate)} events/s`,
      href: null,
    })),
  );
}
