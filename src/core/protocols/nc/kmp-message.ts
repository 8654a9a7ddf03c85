/**
 * KMP messages, which oNCP records carry, and the values in those that are no packets.
 *
 * Read first: spec "Juniper NC", sections 6.1 to 6.3.
 *
 *   0               6      8          18       20
 *   +---------------+------+----------+--------+----------
 *   | 00 00 00 00 … | type | constant | length | payload…       payload of 301, 302, 303: groups
 *   +---------------+------+----------+--------+----------
 *
 *   group:     number (2)  length (4)  attributes            attribute: number (2)  length (4)  value
 */
import { PeerMisbehavedError } from '../../errors.ts';
import { ByteReader } from '../../wire/byte-reader.ts';
import { ByteWriter } from '../../wire/byte-writer.ts';
import type { UnitFormat } from './unit-reader.ts';

export const KMP_HEADER_LENGTH = 20;
export const KMP_TYPES = { data: 300, configuration: 301, keys: 302, settings: 303 } as const;

/** Where a header has its type and length. */
const TYPE_OFFSET = 6;
const CONSTANT_OFFSET = 8;
const LENGTH_OFFSET = 18;

/** Meaning unknown. The client checks the gateway's in a configuration. */
const CONSTANTS: Readonly<Record<KmpSide, Uint8Array>> = {
  gateway: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 0, 0),
  client: Uint8Array.of(1, 0, 0, 0, 1, 0, 0, 0, 0, 0),
};

/** Attributes of one message: a configuration has one for each route and server. */
const MAX_ATTRIBUTES = 9000;

/** Who speaks. */
export type KmpSide = 'gateway' | 'client';

export interface KmpAttribute {
  readonly group: number;
  readonly attribute: number;
  readonly value: Uint8Array;
}

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

/** Attributes side by side in the same group share it. */
export function renderKmp(side: KmpSide, type: number, attributes: readonly KmpAttribute[]): Uint8Array {
  const payload = new ByteWriter();
  for (let i = 0; i < attributes.length; ) {
    const { group } = attributes[i] as KmpAttribute; // below the length
    const inside = new ByteWriter();
    for (; attributes[i]?.group === group; i++) {
      const { attribute, value } = attributes[i] as KmpAttribute; // the same
      inside.u16(attribute).u32(value.length).bytes(value);
    }
    payload.u16(group).u32(inside.length).bytes(inside.finish());
  }
  const message = new Uint8Array(KMP_HEADER_LENGTH + payload.length);
  writeKmpHeader(message, 0, side, type, payload.length);
  message.set(payload.finish(), KMP_HEADER_LENGTH);
  return message;
}

/** The attributes of a payload, in their order. Throws {@link PeerMisbehavedError} unless they fill it to its end. */
export function parseAttributes(payload: Uint8Array): KmpAttribute[] {
  const attributes: KmpAttribute[] = [];
  const groups = new ByteReader(payload);
  while (groups.remaining > 0) {
    const group = groups.u16('KMP group');
    const inside = new ByteReader(groups.bytes(groups.u32('KMP group length'), 'KMP group'));
    while (inside.remaining > 0) {
      const attribute = inside.u16('KMP attribute');
      attributes.push({ group, attribute, value: inside.bytes(inside.u32('KMP attribute length'), 'KMP attribute') });
      if (attributes.length > MAX_ATTRIBUTES) throw new PeerMisbehavedError(`a KMP message has more than ${MAX_ATTRIBUTES} attributes`);
    }
  }
  return attributes;
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
