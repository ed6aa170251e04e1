/**
 * Shows the view that the address names, and says how the daemon is.
 * @module
 */

import { board } from "./board.js";
import { detail } from "./detail.js";
import { byId, setClass, setText, tell } from "./dom.js";
import { Gone } from "./failures.js";
import "./figures.js";
import { gates } from "./gates.js";
import { askForKey, watchKey } from "./lock.js";
import { overview } from "./overview.js";
import { relay } from "./relay.js";
import { start } from "./start.js";

/** Views by the first word of the address: `#/`, `#/start`, `#/scenario/ID`, `#/gates/BODY`, `#/relay`. */
const VIEWS = { "": overview, start, scenario: detail, gates, relay };
const link = byId("link");

function route() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const view = VIEWS[name] ?? overview;
  for (const other of new Set(Object.values(VIEWS))) {
    if (other !== view && !other.element.hidden) other.hide?.();
    other.element.hidden = other !== view;
  }
  for (const entry of document.querySelectorAll("nav a")) {
    if (entry.dataset.view === view.element.id) entry.setAttribute("aria-current", "page");
    else entry.removeAttribute("aria-current");
  }
  view.show(decoded(rest.join("/")));
  document.title = `${view.title.textContent} – sondad`;
  return view;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function showLink() {
  const { fault } = board;
  if (fault?.status === 401) askForKey(fault);
  tell(byId("notice"), fault === null ? "" : fault.message);
  const words =
    fault === null ? "connected" : fault instanceof Gone ? "no answer" : fault.status === 401 ? "locked" : "refused";
  setText(link, words);
  setClass(link, `link ${fault === null ? "good" : "bad"}`);
}

board.addEventListener("change", showLink);
watchKey(() => board.refresh());
addEventListener("hashchange", () => {
  document.querySelector("dialog[open]")?.close();
  // A new view is read from its title on, as a new page would be.
  route().title.focus();
});
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("content").focus();
});
route();
board.start();
