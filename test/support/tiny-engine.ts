/** A packet engine in forty lines, for tests: it seals and opens records with nothing but what stands in a traffic description. Slow; up to 65,536 records. */

import { CbcProtection } from '../../src/core/dtls/cbc-protection.ts';
import { isIpPacket } from '../../src/core/tunnel/inner-packet.ts';
import type { TrafficDescription, TrafficKey } from '../../src/core/tunnel/traffic.ts';
import { NodeCrypto } from '../../src/node/crypto/node-crypto.ts';

const APPLICATION_DATA = 0x17;
const NO_BYTES = new Uint8Array(0);
const DTLS_1_2 = Uint8Array.of(0xfe, 0xfd);
const TAG_LENGTH = 16;

export class TinyEngine {
  readonly #traffic: TrafficDescription;
  /** Of what is sealed; opens as well with the key to open with. CBC only. */
  readonly #cbc: { readonly seal: CbcProtection; readonly open: CbcProtection } | undefined;
  readonly #opened = new Set<number>();
  #next: number;

  constructor(traffic: TrafficDescription) {
    this.#traffic = traffic;
    this.#next = traffic.seal.nextSequence;
    const { record, seal, open } = traffic;
    if (record.kind !== 'dtls-cbc') return;
    const protection = ({ key, mac = NO_BYTES } = seal) =>
      new CbcProtection(
        new NodeCrypto(),
        { kind: 'cbc', cipher: record.cipher, mac: record.mac },
        { key, iv: NO_BYTES, mac },
        record.version,
      );
    this.#cbc = { seal: protection(seal), open: protection(open[0]) };
  }

  /** The number of the next record to seal. */
  get next(): number {
    return this.#next;
  }

  /** `[type][plaintext]` into a record. */
  seal(opened: Uint8Array): Uint8Array {
    const { seal, record } = this.#traffic;
    if (this.#cbc !== undefined) {
      const room = new Uint8Array(opened.length + this.#cbc.seal.maxOverhead);
      return room.subarray(0, this.#cbc.seal.seal(opened[0] ?? 0, this.#next++, opened.subarray(1), room));
    }
    if (record.kind !== 'dtls-aead') throw new Error(`no tiny engine for ${record.kind}`);
    const number = recordNumber(seal.id, this.#next++);
    const plaintext = opened.subarray(1);
    const explicit = record.cipher === 'chacha20-poly1305' ? new Uint8Array(0) : number;
    const sealed = new Uint8Array(plaintext.length + TAG_LENGTH);
    const aad = Buffer.concat([number, opened.subarray(0, 1), DTLS_1_2, u16(plaintext.length)]);
    new NodeCrypto().aead(record.cipher, seal.key).seal(nonceOf(seal, number, record.cipher), aad, plaintext, sealed);
    return Buffer.concat([opened.subarray(0, 1), DTLS_1_2, number, u16(explicit.length + sealed.length), explicit, sealed]);
  }

  /** A record into `[type][plaintext]`; undefined if it is not authentic, or came before. */
  open(record: Uint8Array): Uint8Array | undefined {
    const [key] = this.#traffic.open;
    const number = record.slice(3, 11);
    const sequence = ((number[6] ?? 0) << 8) | (number[7] ?? 0);
    if (key === undefined || record.length < 13 || sequence < key.nextSequence || this.#opened.has(sequence)) return undefined;
    const plaintext = this.#cbc === undefined ? this.#openAead(key, record, number) : openCbc(this.#cbc.open, record);
    if (plaintext === undefined) return undefined;
    this.#opened.add(sequence);
    return Buffer.concat([record.subarray(0, 1), plaintext]);
  }

  /** The packet of a record that carries one; undefined: it is the machine's. Of framings without a header. */
  packetIn(opened: Uint8Array): Uint8Array | undefined {
    if (opened[0] !== APPLICATION_DATA) return undefined;
    const { isData, exceptions = [] } = this.#traffic.framing;
    const payload = opened.subarray(1 + isData.offset);
    for (const { bytes, family } of isData.values) {
      const packet = payload.subarray(bytes.length);
      if (!stands(bytes, payload, 0) || !isIpPacket(packet, 0, packet.length)) continue;
      const version = (packet[0] ?? 0) >>> 4;
      if (family !== undefined && family !== version) continue;
      const isException = exceptions.some(
        (exception) => exception.family === version && exception.bytes.every(({ offset, value }) => stands(value, packet, offset)),
      );
      return isException ? undefined : packet;
    }
    return undefined;
  }

  /** What {@link seal} takes for a packet. */
  framed(packet: Uint8Array): Uint8Array {
    const { ipv4 = NO_BYTES, ipv6 = NO_BYTES } = this.#traffic.framing.sent;
    return Uint8Array.of(APPLICATION_DATA, ...((packet[0] ?? 0) >>> 4 === 4 ? ipv4 : ipv6), ...packet);
  }

  #openAead(key: TrafficKey, record: Uint8Array, number: Uint8Array): Uint8Array | undefined {
    const layout = this.#traffic.record;
    if (layout.kind !== 'dtls-aead') throw new Error(`no tiny engine for ${layout.kind}`);
    const { cipher } = layout;
    const at = cipher === 'chacha20-poly1305' ? 13 : 21;
    const length = record.length - at - TAG_LENGTH;
    if (length < 0) return undefined;
    const explicit = cipher === 'chacha20-poly1305' ? number : record.slice(13, 21);
    const plaintext = new Uint8Array(length);
    const aad = Buffer.concat([number, record.subarray(0, 3), u16(length)]);
    const isGood = new NodeCrypto().aead(cipher, key.key).open(nonceOf(key, explicit, cipher), aad, record.subarray(at), plaintext);
    return isGood ? plaintext : undefined;
  }
}

function stands(value: Uint8Array, bytes: Uint8Array, at: number): boolean {
  return value.every((byte, i) => bytes[at + i] === byte);
}

function openCbc(protection: CbcProtection, record: Uint8Array): Uint8Array | undefined {
  const copy = record.slice();
  const length = protection.open(copy);
  const start = protection.plaintextOffset;
  return length < 0 ? undefined : copy.subarray(start, start + length);
}

const u16 = (value: number) => Uint8Array.of(value >>> 8, value & 0xff);
const recordNumber = (epoch: number, sequence: number) => Buffer.concat([u16(epoch), Uint8Array.of(0, 0, 0, 0), u16(sequence)]);

function nonceOf(key: TrafficKey, number: Uint8Array, cipher: string): Uint8Array {
  if (cipher !== 'chacha20-poly1305') return Buffer.concat([key.iv, number]);
  return key.iv.map((byte, i) => byte ^ (i < 4 ? 0 : (number[i - 4] ?? 0)));
}
