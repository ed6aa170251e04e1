/**
 * Changes a scenario while it runs: a form with what may change, sent as the difference.
 * @module
 */

import { call, scenarioPath } from "./api.js";
import { h, isIdle, setClass, setIdle, setText } from "./dom.js";

/** Blocks whose parameters may change, by the name that they have in the configuration. */
const BLOCKS = ["generator", "log_generator", "distribution"];
const ALONE = ["observations_per_tick", "mean_shift_per_sec", "jitter"];

export class RetuneForm {
  #id;
  #done;
  #fields = [];
  #newName = h("input", {
    type: "text",
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": "Name of a new label",
  });
  #newValue = h("input", {
    type: "text",
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": "Value of the new label",
  });
  #verdict = h("p", { class: "verdict", role: "status" });
  #button = h("button", { type: "submit", class: "primary" }, "Apply");

  /**
   * @param {{id: string, config: Object}} scenario as `GET /scenarios/{id}` shows it
   * @param {function(): void} done is called after a change
   */
  constructor({ id, config }, done) {
    this.#id = id;
    this.#done = done;
    this.#fields = [...fieldsOf(config)].map(([path, was]) => new Field(path, was));
    const pair = h("div", { class: "pair" }, h("span", { class: "dim" }, "new label"), this.#newName, this.#newValue);
    this.element = h(
      "form",
      { class: "retune", "aria-label": "Change while it runs", onsubmit: (event) => this.#send(event) },
      h("div", { class: "fields" }, ...this.#fields.map((field) => field.element), pair),
      h("div", { class: "bar" }, this.#button, this.#verdict),
    );
  }

  /** A new label becomes one of the fields. */
  #settleNewLabel() {
    const name = this.#newName.value.trim();
    if (name === "") return;
    const field = new Field(["labels", name], this.#newValue.value);
    this.#fields.push(field);
    this.#newName.parentElement.before(field.element);
    this.#newName.value = this.#newValue.value = "";
  }

  async #send(event) {
    event.preventDefault();
    if (isIdle(this.#button)) return;
    const patch = this.#patch();
    if (Object.keys(patch).length === 0) {
      this.#say("Nothing is different.", "dim");
      return;
    }
    setIdle(this.#button, true);
    this.#say("Asking the daemon…", "dim");
    try {
      const body = JSON.stringify(patch);
      const answer = await call("PATCH", scenarioPath(this.#id), { body, type: "application/json" });
      this.#say(answer.tick === null ? "Nothing has changed." : `Changed from tick ${answer.tick} on.`, "good");
      for (const field of this.#fields) field.settle();
      this.#settleNewLabel();
      this.#done();
    } catch (error) {
      const said = (error.faults ?? []).map((fault) =>
        [fault.path, fault.message, fault.hint].filter(Boolean).join(": "),
      );
      this.#say(said.length > 0 ? said.join("; ") : error.message, "bad");
    } finally {
      setIdle(this.#button, false);
    }
  }

  #patch() {
    const patch = {};
    for (const field of this.#fields) field.addTo(patch);
    const name = this.#newName.value.trim();
    if (name !== "") patch.labels = { ...patch.labels, [name]: this.#newValue.value };
    return patch;
  }

  #say(text, kind) {
    setText(this.#verdict, text);
    setClass(this.#verdict, `verdict ${kind}`);
  }
}

/** One value; an empty text takes a label away, or gives the default back. */
class Field {
  #path;
  #was;
  #input;

  constructor(path, was) {
    this.#path = path;
    this.#was = was;
    const kind = typeof was === "number" ? { type: "text", inputmode: "decimal" } : { type: "text" };
    const name = path.join(".");
    const placeholder = name === "duration" ? "until stopped" : false;
    this.#input = h("input", { ...kind, name, placeholder, autocomplete: "off", spellcheck: "false" });
    this.#input.value = was ?? "";
    this.element = h("label", {}, h("span", { class: "dim", dir: "auto" }, name), this.#input);
  }

  addTo(patch) {
    const text = this.#input.value.trim();
    if (text === String(this.#was ?? "")) return;
    const inner = this.#path.slice(0, -1).reduce((place, name) => (place[name] ??= {}), patch);
    inner[this.#path.at(-1)] = this.#read(text);
  }

  settle() {
    const text = this.#input.value.trim();
    this.#was = text === "" ? null : this.#read(text);
  }

  #read(text) {
    if (text === "") return null;
    const number = Number(text);
    return typeof this.#was === "number" && !Number.isNaN(number) ? number : text;
  }
}

function* fieldsOf(config) {
  yield [["rate"], config.rate];
  yield [["duration"], config.duration];
  for (const name of ALONE) if (config[name] !== undefined) yield [[name], config[name]];
  for (const block of BLOCKS) {
    for (const [name, was] of Object.entries(config[block] ?? {})) {
      if (name !== "type" && ["number", "string"].includes(typeof was)) yield [[block, name], was];
    }
  }
  for (const [name, was] of Object.entries(config.labels ?? {})) yield [["labels", name], was];
}
