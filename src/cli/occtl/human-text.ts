/**
 * Times, durations and amounts as occtl writes them.
 *
 * Observed: occtl 1.1.6 with its clock moved on (durations) and with limits of many sizes (amounts); the tables in `human-text.test.ts` are what it printed.
 */
import type { Millis } from '../../core/tunnel/packet.ts';
import { printable } from '../../core/wire/text.ts';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const TWO_DAYS = 48 * HOUR;
const DAY = 24 * HOUR;

/** `    1s`, ` 1m:01s`, ` 1h:00m`, ` 2days`: always with the blanks. */
export function durationText(duration: Millis): string {
  const seconds = Math.floor(duration / 1000);
  const two = (number: number) => String(number).padStart(2, '0');
  if (seconds < 0) return '   ?   '; // a clock that was set back
  if (seconds >= TWO_DAYS) return `${String(Math.floor(seconds / DAY)).padStart(2)}days`;
  if (seconds >= HOUR) return `${String(Math.floor(seconds / HOUR)).padStart(2)}h:${two(Math.floor(seconds / MINUTE) % 60)}m`;
  if (seconds > MINUTE) return `${String(Math.floor(seconds / MINUTE)).padStart(2)}m:${two(seconds % MINUTE)}s`;
  return `${String(seconds).padStart(5)}s`;
}

/** `2026-11-29 19:01`, local time. */
export function dateText(time: number): string {
  const date = new Date(time);
  const two = (number: number) => String(number).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** `1000 bytes`, `1.0 KB`, `48.9 MB`; `suffix` is for rates: `/sec`. */
export function bytesText(bytes: number, suffix = ''): string {
  if (bytes > 1e9) return `${(bytes / 1e9).toFixed(1)} GB${suffix}`;
  if (bytes > 1e6) return `${(bytes / 1e6).toFixed(1)} MB${suffix}`;
  if (bytes > 1e3) return `${(bytes / 1e3).toFixed(1)} KB${suffix}`;
  return `${Math.round(bytes)} bytes${suffix}`;
}

/** What a client has said of itself, on one line and without what a terminal would obey. */
export function plainText(text: string): string {
  return printable(text).replace(/[\n\t]/g, ' ');
}

/** Cells of a table, each right-aligned to its width; what is longer pushes the rest. */
export function tableRow(widths: readonly number[], cells: readonly string[]): string {
  return cells.map((cell, i) => plainText(cell).padStart(widths[i] ?? 0)).join(' ');
}
