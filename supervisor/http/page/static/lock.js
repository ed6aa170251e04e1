/**
 * Asks for the API key when the daemon wants one, once; it is kept in this tab only.
 * @module
 */

import { key } from "./api.js";
import { byId, setText } from "./dom.js";

const dialog = byId("key");
const field = byId("key-text");
const button = byId("key-button");
let isDeclined = false;
let retry = () => {};

/** Show whether there is a key, and use `again` when another one is there. */
export function watchKey(again) {
  retry = again;
  showButton();
}

/**
 * Ask for the key, unless the question is open or was declined.
 * @param {import("./failures.js").Refused} refused the answer that asks for it
 */
export function askForKey(refused) {
  // An answer to a request that was sent before the key of now says nothing about it.
  if (refused.key !== key.get()) return;
  key.forget();
  showButton();
  if (dialog.open || (isDeclined && refused.key === null)) return;
  setText(byId("key-reason"), refused.message);
  field.value = "";
  dialog.showModal();
  field.focus();
}

function showButton() {
  button.hidden = key.get() === null && !isDeclined;
  setText(button, key.get() === null ? "Enter key" : "Forget key");
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key.set(field.value.trim());
  field.value = "";
  isDeclined = false;
  dialog.close();
  showButton();
  retry();
});
byId("key-cancel").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => {
  isDeclined = key.get() === null;
  showButton();
});
button.addEventListener("click", () => {
  isDeclined = false;
  key.forget();
  showButton();
  retry();
});
