/**
 * Numbers as people read them; figures of one kind have one width, so that columns stay calm.
 * @module
 */

const GROUPED = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const COMPACT = new Intl.NumberFormat("en-US", { notation: "compact" });
const NONE = "–";

/** A count: 1,234,567, from a thousand millions on 1.23G. */
export function count(number) {
  if (number === null || number === undefined) return NONE;
  return number < 1e9 ? GROUPED.format(number) : `${(number / 1e9).toFixed(2)}G`;
}

/** Something per second: 0.5, 12.5, 1,234, 1.23M. */
export function rate(number) {
  if (number === null || number === undefined || !Number.isFinite(number)) return NONE;
  if (number >= 1e6) return `${(number / 1e6).toFixed(2)}M`;
  return number >= 1000 ? GROUPED.format(number) : number.toFixed(1);
}

/** Bytes: 512 B, 1.5 KiB. */
export function bytes(number) {
  if (number === null || number === undefined) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let place = 0;
  let shown = number;
  while (shown >= 1024 && place < units.length - 1) [shown, place] = [shown / 1024, place + 1];
  return `${place === 0 ? Math.round(shown) : shown.toFixed(1)} ${units[place]}`;
}

/** A short time: 340 µs, 1.2 ms, 340 ms, 3.4 s. */
export function secs(number) {
  if (number === null || number === undefined) return NONE;
  if (number < 0.001) return `${Math.round(number * 1e6)} µs`;
  if (number >= 1) return span(number);
  return `${(number * 1000).toFixed(number < 0.1 ? 1 : 0)} ms`;
}

/** A long time: 3.4 s, 12 min, 5 h 10 min, 3 d 4 h. */
export function span(number) {
  if (number === null || number === undefined) return NONE;
  if (number < 60) return `${number < 10 ? number.toFixed(1) : Math.round(number)} s`;
  const minutes = Math.floor(number / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A value of a metric: at most six significant digits. */
export function value(number) {
  if (number === null || number === undefined || !Number.isFinite(number)) return NONE;
  return String(Number(number.toPrecision(6)));
}

/** A value in little room: 12.5, 1.2M. */
export function short(number) {
  return Math.abs(number) < 1e5 ? value(number) : COMPACT.format(number);
}

/** "1 scenario", "3 scenarios". */
export const plural = (number, one) => `${count(number)} ${one}${number === 1 ? "" : "s"}`;
