/**
 * Writing a scenario: from an example or from nothing, checked, looked at, started.
 * @module
 */

import { call } from "./api.js";
import { ask } from "./asking.js";
import { board } from "./board.js";
import { byId, h, isIdle, setClass, setIdle, setText } from "./dom.js";
import { Editor } from "./editor.js";
import { plural } from "./format.js";
import { announce } from "./overview.js";
import { Picker } from "./picker.js";
import { showPreviews } from "./previews.js";

const DRAFT = "sondad-draft";
const MENDED_MS = 600;

const area = byId("text");
const editor = new Editor(area, byId("gutter"), byId("marks"));
const buttons = [byId("launch"), byId("check")];
const picker = new Picker(use);
let picked = "";
let mending = null;

/** The view, as the router uses it. */
export const start = { element: byId("start"), title: byId("start-title"), show: () => picker.load() };

async function use({ name, text }) {
  const isTyped = editor.text.trim() !== "" && editor.text !== picked;
  if (isTyped && !(await ask("Replace the text?", `What you have typed makes way for ${name}.`, "Replace"))) return;
  editor.text = picked = text;
  keep();
  showFaults([]);
  clear();
  area.focus();
  area.setSelectionRange(0, 0);
}

/** Ask what would be started; nothing is. */
async function check() {
  await busy(async () => {
    const plan = await call("POST", "scenarios?dry_run=true", { body: editor.text, type: "text/yaml" });
    showFaults([]);
    verdict(`No mistakes: ${plural(plan.scenarios.length, "scenario")} would start.`, "good");
    showWarnings(plan.warnings);
    showPreviews(byId("previews"), plan);
  });
}

async function launch() {
  await busy(async () => {
    const answer = await call("POST", "scenarios", { body: editor.text, type: "text/yaml" });
    const launched = answer.scenarios ?? [answer];
    showFaults([]);
    clear();
    await board.refresh();
    const names =
      launched.length > 3 ? plural(launched.length, "scenario") : launched.map((row) => row.name).join(", ");
    announce(
      [`Started ${names}.`, ...(answer.warnings ?? [])].join(" "),
      launched.map((row) => row.id),
    );
    location.hash = "#/";
  });
}

/** Run one call at a time; what it is refused with is shown, and the text stays. */
async function busy(work) {
  if (buttons.some(isIdle)) return;
  clearTimeout(mending);
  clear();
  verdict("Asking the daemon…", "dim");
  for (const button of buttons) setIdle(button, true);
  try {
    await work();
  } catch (error) {
    showFaults(error.faults ?? []);
    verdict(error.message, "bad");
  } finally {
    for (const button of buttons) setIdle(button, false);
  }
}

function clear() {
  verdict("", "");
  showWarnings([]);
  showPreviews(byId("previews"), null);
}

function verdict(text, kind) {
  setText(byId("verdict"), text);
  setClass(byId("verdict"), `verdict ${kind}`);
}

/** @param {import("./editor.js").Fault[]} found in the order in which they were found */
function showFaults(found) {
  const faults = found.toSorted((one, other) => one.line - other.line || one.column - other.column);
  editor.mark(faults);
  byId("faults").replaceChildren(...faults.map(faultLine));
  byId("faults").hidden = faults.length === 0;
}

function faultLine(fault) {
  const place =
    fault.line === null ? null : `line ${fault.line}${fault.column === null ? "" : `, column ${fault.column}`}`;
  return h(
    "li",
    {},
    place && h("button", { type: "button", class: "place", onclick: () => editor.goTo(fault) }, place),
    fault.path ? h("code", {}, fault.path) : null,
    h("span", {}, fault.message),
    fault.hint ? h("span", { class: "hint" }, fault.hint) : null,
  );
}

function showWarnings(warnings) {
  byId("warnings").replaceChildren(...warnings.map((warning) => h("li", {}, warning)));
  byId("warnings").hidden = warnings.length === 0;
}

/** Keep the text until the tab is closed, unless it is longer than a browser keeps. */
function keep() {
  try {
    sessionStorage.setItem(DRAFT, editor.text);
  } catch {
    sessionStorage.removeItem(DRAFT);
  }
}

area.addEventListener("input", () => {
  keep();
  clearTimeout(mending);
  // Marks follow the text while mistakes are being mended.
  if (!byId("faults").hidden) mending = setTimeout(check, MENDED_MS);
});
area.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("writer").requestSubmit(byId("launch"));
});
byId("writer").addEventListener("submit", (event) => {
  event.preventDefault();
  launch();
});
byId("check").addEventListener("click", check);
editor.text = sessionStorage.getItem(DRAFT) ?? "";
