/**
 * A line of the last two minutes on a small canvas: the rate, and the rate that was asked for.
 * @module
 */

import { colour, onThemeChange } from "./dom.js";

const SHOWN_SECS = 120;
let inks = null;
onThemeChange(() => {
  inks = null;
});

/**
 * Draw what was seen of a scenario.
 * @param {HTMLCanvasElement} canvas its size comes from the style sheet
 * @param {import("./history.js").Seen|undefined} seen
 */
export function drawSparkline(canvas, seen) {
  inks ??= { line: colour("accent"), target: colour("line-strong") };
  const scale = devicePixelRatio;
  const [width, height] = [canvas.clientWidth * scale, canvas.clientHeight * scale];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, width, height);
  if (seen === undefined || seen.times.length === 0) return;
  const end = seen.times.at(-1);
  const first = Math.max(
    seen.times.findIndex((time) => time >= end - SHOWN_SECS),
    0,
  );
  const highest = Math.max(...seen.rate.slice(first), seen.target.at(-1), 1e-9);
  const x = (time) => width * (1 - (end - time) / SHOWN_SECS);
  const y = (number) => height - scale - (height - 2 * scale) * (number / highest);
  const draw = (numbers, ink) => {
    pen.strokeStyle = ink;
    pen.lineWidth = scale;
    pen.beginPath();
    for (let place = first; place < numbers.length; place += 1) pen.lineTo(x(seen.times[place]), y(numbers[place]));
    pen.stroke();
  };
  draw(seen.target, inks.target);
  draw(seen.rate, inks.line);
}
