/**
 * ESP packets, one in a UDP datagram: pad, encrypt, then MAC; and back.
 *
 * Read first: RFC 4303 §2 and §3, RFC 3602 (AES-CBC); spec "ESP", sections 2 and 3.
 *
 *   | SPI 4 | sequence 4 | IV 16 | payload | 01 02 03… | padding length | next header | MAC 12 or 16 |
 *                                  \____________________ encrypted ___________________/
 *
 * The packet engine does the same by its own functions (`node/engine/esp-cipher.ts`): this is what it is tested against.
 */
import { equalInConstantTime } from '../crypto/constant-time.ts';
import type { Cbc, CryptoProvider, Mac } from '../crypto/provider.ts';
import { ReplayWindow } from '../tunnel/replay-window.ts';
import type { CbcCipher, EspMac, TrafficKey } from '../tunnel/traffic.ts';
import { copyOf } from '../wire/copy.ts';

/** One direction's keys. */
export interface EspKeys {
  /** Of its receiver's choice, or the gateway's: 0x100 at least (RFC 4303 §2.1). */
  readonly spi: number;
  readonly cipher: CbcCipher;
  readonly mac: EspMac;
  /** As long as {@link ESP_KEY_LENGTHS} and {@link ESP_MAC_KEY_LENGTHS} say. */
  readonly key: Uint8Array;
  readonly macKey: Uint8Array;
}

/** What a packet has inside: IPv4, IPv6, and IPv4 compressed with LZO, which is Juniper's own (spec 2.4). */
export const NEXT_HEADER = { ipv4: 4, lzo: 5, ipv6: 41 } as const;

export const ESP_KEY_LENGTHS: Readonly<Record<CbcCipher, number>> = { 'aes-128-cbc': 16, 'aes-256-cbc': 32 };
export const ESP_MAC_KEY_LENGTHS: Readonly<Record<EspMac, number>> = { md5: 16, sha1: 20, sha256: 32 };

const BLOCK = 16;
const SEQUENCE_OFFSET = 4;
const IV_OFFSET = 8;
const PAYLOAD_OFFSET = IV_OFFSET + BLOCK;
/** Padding length and next header. */
const TRAILER = 2;
/** What of the MAC is sent: RFC 2403, RFC 2404, RFC 4868. */
const MAC_LENGTHS: Readonly<Record<EspMac, number>> = { md5: 12, sha1: 12, sha256: 16 };

/** RFC 4303 §3.3.3: the counter must not cycle. */
const SEQUENCES = 2 ** 32;

/** The datagram's length for a payload. */
export function espLength(payloadLength: number, mac: EspMac): number {
  return PAYLOAD_OFFSET + Math.ceil((payloadLength + TRAILER) / BLOCK) * BLOCK + MAC_LENGTHS[mac];
}

/** The longest payload whose datagram is no longer than `datagramLength` (spec 7). */
export function espCapacity(datagramLength: number, mac: EspMac): number {
  return Math.floor((datagramLength - PAYLOAD_OFFSET - MAC_LENGTHS[mac]) / BLOCK) * BLOCK - TRAILER;
}

/** Seals what leaves under one SA. */
export class EspSender {
  readonly #crypto: CryptoProvider;
  readonly #keys: EspKeys;
  readonly #cbc: Cbc;
  readonly #mac: Mac;
  /** Spec 2.6: deployed peers begin with 0. */
  #next = 0;

  constructor(crypto: CryptoProvider, keys: EspKeys) {
    this.#crypto = crypto;
    this.#keys = keys;
    this.#cbc = crypto.cbc(keys.cipher, keys.key);
    this.#mac = crypto.mac(keys.mac, keys.macKey);
  }

  /** No number is left: the SA is over. */
  get isUsedUp(): boolean {
    return this.#next >= SEQUENCES;
  }

  lengthFor(payloadLength: number): number {
    return espLength(payloadLength, this.#keys.mac);
  }

  /** Into `room`, which has {@link lengthFor} bytes at least. Answers how many were written; 0 once the SA is used up. */
  seal(payload: Uint8Array, nextHeader: number, room: Uint8Array): number {
    if (this.isUsedUp) return 0;
    const end = this.lengthFor(payload.length) - MAC_LENGTHS[this.#keys.mac];
    const padding = end - PAYLOAD_OFFSET - TRAILER - payload.length; // minimal
    writeU32(room, 0, this.#keys.spi);
    writeU32(room, SEQUENCE_OFFSET, this.#next++);
    room.set(payload, PAYLOAD_OFFSET);
    for (let i = 0; i < padding; i++) room[PAYLOAD_OFFSET + payload.length + i] = i + 1;
    room[end - 2] = padding;
    room[end - 1] = nextHeader;
    const iv = this.#crypto.randomBytes(BLOCK); // never foreseeable (spec 2.5)
    const blocks = room.subarray(PAYLOAD_OFFSET, end);
    this.#cbc.encrypt(iv, blocks, blocks);
    room.set(iv, IV_OFFSET);
    room.set(this.#mac.compute(room.subarray(0, end)).subarray(0, MAC_LENGTHS[this.#keys.mac]), end);
    return end + MAC_LENGTHS[this.#keys.mac];
  }

  /** For the packet engine, which seals from now on. */
  exportKey(): TrafficKey {
    return exported(this.#keys, this.#next);
  }
}

/** Opens what comes under one SA. What it found stands in its fields until the next call, so that a packet costs no object. */
export class EspReceiver {
  nextHeader = 0;
  /** A view of the datagram, which {@link open} decrypts in place. */
  payload: Uint8Array = new Uint8Array(0);
  readonly keys: EspKeys;
  readonly #cbc: Cbc;
  readonly #mac: Mac;
  readonly #window = new ReplayWindow();

  constructor(crypto: CryptoProvider, keys: EspKeys) {
    this.keys = keys;
    this.#cbc = crypto.cbc(keys.cipher, keys.key);
    this.#mac = crypto.mac(keys.mac, keys.macKey);
  }

  /** In the order of spec 3. False for every kind of failure alike: nothing of it is the peer's to learn. */
  open(datagram: Uint8Array): boolean {
    const end = datagram.length - MAC_LENGTHS[this.keys.mac];
    const sealed = end - PAYLOAD_OFFSET;
    if (sealed < BLOCK || sealed % BLOCK !== 0 || readU32(datagram, 0) !== this.keys.spi) return false;
    const sequence = readU32(datagram, SEQUENCE_OFFSET);
    if (!this.#window.allows(sequence)) return false;
    const mac = this.#mac.compute(datagram.subarray(0, end)).subarray(0, datagram.length - end);
    if (!equalInConstantTime(mac, datagram.subarray(end))) return false;
    this.#window.mark(sequence);
    const blocks = datagram.subarray(PAYLOAD_OFFSET, end);
    this.#cbc.decrypt(datagram.slice(IV_OFFSET, PAYLOAD_OFFSET), blocks, blocks);
    const padding = datagram[end - 2] ?? 0;
    const payloadEnd = end - TRAILER - padding;
    if (payloadEnd <= PAYLOAD_OFFSET) return false; // nothing in it, or less
    for (let i = 0; i < padding; i++) if (datagram[payloadEnd + i] !== i + 1) return false; // RFC 4303 §2.4
    this.nextHeader = datagram[end - 1] ?? 0;
    this.payload = datagram.subarray(PAYLOAD_OFFSET, payloadEnd);
    return true;
  }

  /** For the packet engine, which opens from now on. */
  exportKey(): TrafficKey {
    return exported(this.keys, this.#window.next);
  }
}

function exported({ spi, key, macKey }: EspKeys, nextSequence: number): TrafficKey {
  return { id: spi, key: copyOf(key), iv: new Uint8Array(0), mac: copyOf(macKey), nextSequence };
}

function readU32(bytes: Uint8Array, at: number): number {
  return (((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>> 0;
}

function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}
