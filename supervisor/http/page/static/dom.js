/**
 * Makes elements. Texts become text nodes, so nothing that a user has named can be markup.
 * @module
 */

const SVG = "http://www.w3.org/2000/svg";

/** Return the element of the page that has this id. */
export const byId = (id) => document.getElementById(id);

/**
 * Make an HTML element.
 * @param {string} tag
 * @param {Object<string, *>} properties `on…` are listeners; false and null leave an attribute out, true makes
 *   an empty one
 * @param {...(Node|string|null)} children
 * @returns {HTMLElement}
 */
export function h(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** Make an SVG element; arguments as for `h`. */
export function svg(tag, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Set a text, and touch the document only when it is another one. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set a class name, as `setText`. */
export function setClass(element, name) {
  if (element.className !== name) element.className = name;
}

/**
 * Say that a button does nothing for now. It keeps the focus, which a disabled one would lose; who listens to it looks
 * at `isIdle`.
 */
export function setIdle(button, isIdle) {
  button.setAttribute("aria-disabled", isIdle);
}

/** Whether a button does nothing for now. */
export const isIdle = (button) => button.getAttribute("aria-disabled") === "true";

/** Show a text, or hide its element when there is none. */
export function tell(element, text) {
  setText(element, text);
  element.hidden = text === "";
}

/** Return the value of a colour variable of the style sheet, as it is now. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Call `listener` whenever the browser changes between light and dark. */
export function onThemeChange(listener) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", listener);
}
