/**
 * The values in a KMP message that carries no packets, both ways. Groups and attributes are known by one number, as in the specification's table: 0x0601
 * is 6/1.
 *
 * Read first: spec "Juniper NC", sections 6.3 and 6.4.
 *
 *   group:     number (2)  length (4)  attributes            attribute: number (2)  length (4)  value
 */
import { PeerMisbehavedError } from '../../errors.ts';
import { ByteReader } from '../../wire/byte-reader.ts';
import { ByteWriter } from '../../wire/byte-writer.ts';
import { KMP_HEADER_LENGTH, type KmpSide, writeKmpHeader } from './kmp-message.ts';

export const ATTRIBUTES = {
  address: 0x0101,
  netmask: 0x0102,
  gatewayAddress: 0x0103,
  dns: 0x0201,
  domains: 0x0202,
  include: 0x0303,
  exclude: 0x0304,
  nbns: 0x0401,
  espSwitch: 0x0601,
  mtu: 0x0602,
  spi: 0x0701,
  keyBlock: 0x0702,
  espCipher: 0x0801,
  espMac: 0x0802,
  espCompression: 0x0803,
  espPort: 0x0804,
  espLifetimeBytes: 0x0805,
  espLifetime: 0x0806,
  espFallback: 0x0809,
  espReplayProtection: 0x080a,
} as const;

/** Bytes of those that have one length only. */
const LENGTHS: ReadonlyMap<number, number> = new Map([
  [ATTRIBUTES.address, 4],
  [ATTRIBUTES.netmask, 4],
  [ATTRIBUTES.dns, 4],
  [ATTRIBUTES.include, 8],
  [ATTRIBUTES.exclude, 8],
  [ATTRIBUTES.nbns, 4],
  [ATTRIBUTES.espSwitch, 1],
  [ATTRIBUTES.mtu, 4],
  [ATTRIBUTES.spi, 4],
  [ATTRIBUTES.keyBlock, 64],
  [ATTRIBUTES.espCipher, 1],
  [ATTRIBUTES.espMac, 1],
  [ATTRIBUTES.espCompression, 1],
  [ATTRIBUTES.espPort, 2],
  [ATTRIBUTES.espLifetimeBytes, 4],
  [ATTRIBUTES.espLifetime, 4],
  [ATTRIBUTES.espFallback, 4],
  [ATTRIBUTES.espReplayProtection, 4],
]);

/** Of one message: a configuration has one for each route and server. */
const MAX_ATTRIBUTES = 9000;

export interface KmpAttribute {
  readonly key: number;
  readonly value: Uint8Array;
}

/** Attributes side by side in the same group share it. */
export function renderKmp(side: KmpSide, type: number, attributes: readonly KmpAttribute[]): Uint8Array {
  const payload = new ByteWriter();
  for (let i = 0; i < attributes.length; ) {
    const group = (attributes[i] as KmpAttribute).key >>> 8; // below the length
    const inside = new ByteWriter();
    for (; i < attributes.length; i++) {
      const { key, value } = attributes[i] as KmpAttribute; // the same
      if (key >>> 8 !== group) break;
      inside
        .u16(key & 0xff)
        .u32(value.length)
        .bytes(value);
    }
    payload.u16(group).u32(inside.length).bytes(inside.finish());
  }
  const message = new Uint8Array(KMP_HEADER_LENGTH + payload.length);
  writeKmpHeader(message, 0, side, type, payload.length);
  message.set(payload.finish(), KMP_HEADER_LENGTH);
  return message;
}

/** What a payload says. Values are views of it. */
export class KmpAttributes {
  readonly #all: readonly KmpAttribute[];

  /** Throws {@link PeerMisbehavedError} unless groups fill the payload to its end, and where what is known is not as long as it has to be. */
  constructor(payload: Uint8Array) {
    this.#all = parse(payload);
    for (const { key, value } of this.#all) {
      const expected = LENGTHS.get(key);
      if (expected === undefined || value.length === expected) continue;
      throw new PeerMisbehavedError(`KMP attribute ${key >>> 8}/${key & 0xff} has ${value.length} bytes in place of ${expected}`);
    }
  }

  all(key: number): Uint8Array[] {
    return this.#all.filter((each) => each.key === key).map(({ value }) => value);
  }

  /** The first of its kind. */
  bytes(key: number): Uint8Array | undefined {
    return this.#all.find((each) => each.key === key)?.value;
  }

  /** The same as a number of up to four bytes. */
  number(key: number): number | undefined {
    return this.bytes(key)?.reduce((number, byte) => number * 256 + byte, 0);
  }
}

function parse(payload: Uint8Array): KmpAttribute[] {
  const attributes: KmpAttribute[] = [];
  const groups = new ByteReader(payload);
  while (groups.remaining > 0) {
    const group = groups.u16('KMP group');
    const inside = new ByteReader(groups.bytes(groups.u32('KMP group length'), 'KMP group'));
    while (inside.remaining > 0) {
      const attribute = inside.u16('KMP attribute');
      const value = inside.bytes(inside.u32('KMP attribute length'), 'KMP attribute');
      const isKnown = group <= 0xff && attribute <= 0xff; // the others have no name here
      attributes.push({ key: isKnown ? (group << 8) | attribute : -1, value });
      if (attributes.length > MAX_ATTRIBUTES) throw new PeerMisbehavedError(`a KMP message has more than ${MAX_ATTRIBUTES} attributes`);
    }
  }
  return attributes;
}
