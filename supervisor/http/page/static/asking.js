/**
 * One question before something that cannot be taken back.
 * @module
 */

import { byId, setText } from "./dom.js";

const dialog = byId("ask");
let settle = () => {};

/**
 * Ask, and return whether the answer was yes.
 * @param {string} question
 * @param {string} detail what will happen
 * @param {string} verb what the button says
 * @returns {Promise<boolean>}
 */
export function ask(question, detail, verb) {
  setText(byId("ask-question"), question);
  setText(byId("ask-detail"), detail);
  setText(byId("ask-yes"), verb);
  dialog.showModal();
  byId("ask-no").focus();
  return new Promise((resolve) => {
    settle = resolve;
  });
}

byId("ask-form").addEventListener("submit", (event) => {
  event.preventDefault();
  settle(true);
  dialog.close();
});
byId("ask-no").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => settle(false));
