/**
 * KMP messages, which oNCP records carry.
 *
 * Read first: spec "Juniper NC", sections 6.1 and 6.2.
 *
 *   0               6      8          18       20
 *   +---------------+------+----------+--------+----------
 *   | 00 00 00 00 … | type | constant | length | payload…       of 301, 302 and 303: see kmp-attributes.ts
 *   +---------------+------+----------+--------+----------
 */
import type { UnitFormat } from './unit-reader.ts';

export const KMP_HEADER_LENGTH = 20;
export const KMP_TYPES = { data: 300, configuration: 301, keys: 302, settings: 303 } as const;

/** Where a header has what. */
export const TYPE_OFFSET = 6;
export const CONSTANT_OFFSET = 8;
export const LENGTH_OFFSET = 18;

/** Meaning unknown. The client checks the gateway's in a configuration. */
const CONSTANTS: Readonly<Record<KmpSide, Uint8Array>> = {
  gateway: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 0, 0),
  client: Uint8Array.of(1, 0, 0, 0, 1, 0, 0, 0, 0, 0),
};

/** Who speaks. */
export type KmpSide = 'gateway' | 'client';

export const MESSAGES: UnitFormat = {
  headerLength: KMP_HEADER_LENGTH,
  lengthAt: (bytes, at) => KMP_HEADER_LENGTH + u16(bytes, at + LENGTH_OFFSET),
};

/** Of the message that begins at `start`; undefined if it begins as none does. */
export function typeAt(bytes: Uint8Array, start: number): number | undefined {
  for (let i = 0; i < TYPE_OFFSET; i++) if (bytes[start + i] !== 0) return undefined;
  return u16(bytes, start + TYPE_OFFSET);
}

export function writeKmpHeader(bytes: Uint8Array, start: number, side: KmpSide, type: number, length: number): void {
  bytes.fill(0, start, start + TYPE_OFFSET);
  bytes[start + TYPE_OFFSET] = type >>> 8;
  bytes[start + TYPE_OFFSET + 1] = type & 0xff;
  bytes.set(CONSTANTS[side], start + CONSTANT_OFFSET);
  bytes[start + LENGTH_OFFSET] = length >>> 8;
  bytes[start + LENGTH_OFFSET + 1] = length & 0xff;
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
