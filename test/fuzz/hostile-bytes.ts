/** Bytes and texts that decoders do not like, and how bytes reach a client that someone wants to annoy. */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Millis } from '../../src/core/tunnel/packet.ts';
import type { Dice } from './dice.ts';
import type { Waiting } from './virtual-time.ts';

/** Control characters, escape sequences, directions, shell words, and what parsers trip over. */
export const NASTY_TEXTS: readonly [string, ...string[]] = [
  '\u001b[2J\u001b]0;owned\u0007',
  '\u009b31m',
  '\rroot:',
  '\b\b\b\u007f',
  '\u202egnp.exe\u2066',
  '\u200f\u061c\u200e',
  '\u2028\u2029\u0085',
  '\u0000',
  '$(reboot)',
  '`reboot`; rm -rf / #',
  "'; reboot; '",
  '-oProxyCommand=x',
  '../../etc/passwd',
  '%s%s%s%n%d',
  '%0a%1b%5b2J%e2%80%ae',
  '__proto__',
  'constructor',
  '\ufeff',
  '\ud800',
  '𝕏'.repeat(40),
  '<![CDATA[',
  ']]>',
  '&#27;&#x1b;&#0;&#x202e;&bogus;',
  'a'.repeat(5000),
  '9'.repeat(400),
  '-1',
  'NaN',
  '',
];

export function nastyText(dice: Dice): string {
  return dice.oneIn(3) ? `a${dice.pick(NASTY_TEXTS)}b` : dice.pick(NASTY_TEXTS);
}

/** The text with a few things put in, taken out, doubled, or cut off. */
export function mutatedText(dice: Dice, text: string): string {
  let mutated = text;
  for (let i = dice.between(1, 3); i > 0; i--) {
    const at = dice.below(mutated.length + 1);
    const end = Math.min(mutated.length, at + dice.size(mutated.length));
    switch (dice.below(6)) {
      case 0:
        mutated = mutated.slice(0, at);
        break;
      case 1:
        mutated = mutated.slice(0, at) + mutated.slice(end);
        break;
      case 2:
        mutated = mutated.slice(0, end) + mutated.slice(at);
        break;
      default:
        mutated = mutated.slice(0, at) + nastyText(dice) + mutated.slice(at);
    }
  }
  return mutated;
}

const NASTY_BYTES: readonly [number, ...number[]] = [0, 1, 0x0a, 0x0d, 0x1b, 0x7f, 0x80, 0xff];

/** The bytes with a few of them changed, put in, taken out, doubled, or cut off. */
export function mutated(dice: Dice, bytes: Uint8Array): Uint8Array {
  let result = Buffer.from(bytes);
  for (let i = dice.between(1, 4); i > 0; i--) {
    const at = dice.below(result.length + 1);
    const end = Math.min(result.length, at + dice.size(result.length));
    switch (dice.below(8)) {
      case 0:
        result = result.subarray(0, at);
        break;
      case 1:
        result = Buffer.concat([result.subarray(0, at), result.subarray(end)]);
        break;
      case 2:
        result = Buffer.concat([result.subarray(0, end), result.subarray(at)]);
        break;
      case 3:
        result = Buffer.concat([result.subarray(0, at), dice.bytes(dice.size(64)), result.subarray(at)]);
        break;
      case 4:
        if (at < result.length) result[at] = (result[at] ?? 0) ^ (1 << dice.below(8));
        break;
      default:
        if (at < result.length) result[at] = dice.oneIn(2) ? dice.pick(NASTY_BYTES) : dice.below(256);
    }
  }
  return result;
}

/** How bytes reach the client. */
export interface Delivery {
  readonly bytes: Uint8Array;
  /** Bytes written at once, so many of them each a record of its own. */
  readonly slice: number;
  /** Between two slices. */
  readonly pause: Millis;
  /** Sent after the bytes again and again, until the client has had enough of it or {@link MAX_FLOOD} has been sent. */
  readonly endless?: Uint8Array;
  /** Then: the connection is used on, ended politely, dropped, reset, or left without a word. */
  readonly ending: Ending;
}

export type Ending = 'go-on' | 'end' | 'drop' | 'reset' | 'stall';

/** Slices of one delivery, so that a run stays short. */
const MAX_SLICES = 40;

/** Many times what a client may keep of anything: one that keeps it all is seen by its memory. */
export const MAX_FLOOD: number = 512 * 1024 * 1024;

/** Endless bytes go in pieces of about this length. */
const FLOOD_PIECE = 128 * 1024;

export function honestly(bytes: Uint8Array): Delivery {
  return { bytes, slice: bytes.length, pause: 0, ending: 'go-on' };
}

export function badly(dice: Dice, bytes: Uint8Array): Delivery {
  const cut = dice.oneIn(2) ? bytes.length : dice.below(bytes.length + 1);
  const slice = dice.oneIn(2) ? bytes.length : dice.between(1, 200);
  const pause = dice.pick([0, 0, 1, 1000, 29_000]);
  const ending: Ending =
    cut < bytes.length ? dice.pick(['end', 'drop', 'reset', 'stall']) : dice.pick(['go-on', 'end', 'drop', 'reset', 'stall']);
  return { bytes: bytes.subarray(0, cut), slice, pause, ending };
}

/** A connection as the gateway has it: `raw` under `stream`, or the same. */
export interface Outlet {
  readonly stream: Socket | TLSSocket;
  readonly raw: Socket;
  readonly time: Waiting;
  /** The run is over. */
  readonly signal: AbortSignal;
}

/** Writes, and resolves with whether the connection goes on. */
export async function deliver(outlet: Outlet, delivery: Delivery): Promise<boolean> {
  const { stream, raw, time, signal } = outlet;
  const { bytes, ending, pause } = delivery;
  const slice = Math.max(1, delivery.slice, Math.ceil(bytes.length / MAX_SLICES));
  for (let at = 0; at < bytes.length && !stream.destroyed && !signal.aborted; at += slice) {
    if (at > 0 && pause > 0) await time.sleep(pause, signal);
    await written(stream, bytes.subarray(at, at + slice));
  }
  if (delivery.endless !== undefined) await flood(outlet, delivery.endless);
  if (ending === 'end') stream.end();
  else if (ending === 'drop') raw.destroy();
  else if (ending === 'reset') raw.resetAndDestroy();
  else if (ending === 'stall') await gone(stream, signal);
  return ending === 'go-on' && !stream.destroyed;
}

/** Resolves when all has been sent, or nobody takes it. */
async function flood({ stream, signal }: Outlet, unit: Uint8Array): Promise<void> {
  const count = Math.max(1, Math.floor(FLOOD_PIECE / Math.max(1, unit.length)));
  const piece = Buffer.concat(Array.from({ length: count }, () => unit));
  for (let sent = 0; sent < MAX_FLOOD && !stream.destroyed && !signal.aborted; sent += piece.length) await written(stream, piece);
}

/** Resolves when the bytes have left, or never will. */
export function written(stream: Socket, bytes: Uint8Array): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (stream.destroyed) return Promise.resolve();
  stream.once('close', resolve);
  stream.write(bytes, () => resolve());
  return promise.finally(() => stream.off('close', resolve));
}

/** Waits until the client has gone, or the run is over. */
export function gone(stream: Socket, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (stream.destroyed || signal.aborted) resolve();
  const over = () => resolve();
  stream.once('close', over).once('end', over).resume();
  signal.addEventListener('abort', over, { once: true });
  return promise.finally(() => signal.removeEventListener('abort', over));
}
