/**
 * What a traffic description makes of a path: IP packets and control records become records in place, and back. Here a record of DTLS 1.2 with GCM:
 *
 *   0      1         3       5          11       13               21
 *   +------+---------+-------+----------+--------+----------------+--------+-----------+-----+
 *   | type | fe   fd | epoch | sequence | length | explicit nonce | header | IP packet | tag |
 *   +------+---------+-------+----------+--------+----------------+--------+-----------+-----+
 *          a prefix of fixed length per path                               ▲
 *                                          the packet never moves: it is read from the device here, and written to it from here
 *
 * record-form.ts has the other layouts.
 *
 * ### Why no nonce is used twice
 *
 * A nonce is a key's epoch and record number. One sealer exists per epoch and path, here, and its number only grows. It starts where the machine
 * stopped (the description's nextSequence), and the machine seals nothing until the description is withdrawn, which ends the sealer and
 * says where the machine goes on. When another description replaces it, what has the same epoch and key goes on where it is. At the end of the
 * numbers, or when OpenSSL counted differently, the sealer stops for good.
 */
import type { SourceFilter } from '../../core/tunnel/source-filter.ts';
import type { RecordLayout, TrafficDescription, TrafficKey } from '../../core/tunnel/traffic.ts';
import type { CarriedState } from '../datagram-path.ts';
import type { Arena } from '../ffi/arena.ts';
import { sourceFilterOf } from './carried-packets.ts';
import { checkDescription } from './check-description.ts';
import { MAX_HEADER_LENGTH } from './check-framing.ts';
import { NO_PACKET, PacketFrames } from './packet-frames.ts';
import { NOT_MADE, type RecordCipher } from './record-cipher.ts';
import { APPLICATION_DATA, MAX_PAYLOAD_OFFSET, type RecordForm, recordForm } from './record-form.ts';
import { ReplayWindow } from './replay-window.ts';

/** How long a key may be used. */
export interface KeyLimits {
  /** The record number that can no longer be. */
  readonly sequence: number;
  /** Blocks of 16 bytes sealed with one AES-GCM key. */
  readonly gcmBlocks: number;
  /** Records with a wrong tag that one key may meet. */
  readonly forgeries: number;
}

const KEY_LIMITS: KeyLimits = {
  sequence: Number.POSITIVE_INFINITY, // the layout has its own
  // RFC 8446 §5.5: up to 2^24.5 records of 2^14 bytes an observer's advantage stays negligible (2^-57). That is 389 GB. ChaCha20-Poly1305 has no such
  // limit before the record numbers end.
  gcmBlocks: 2 ** 34.5,
  forgeries: 2 ** 36, // RFC 9147 §4.5.3, for all three AEAD ciphers; more than enough for an HMAC
};

/** From this share of a limit on, the machine is told that it is time for new keys. */
const WARNING_SHARE = 15 / 16;

/** The most that stands in front of an IP packet: record header, nonce or IV, the description's header. */
export const MAX_PREFIX_LENGTH: number = MAX_PAYLOAD_OFFSET + MAX_HEADER_LENGTH;

/** What {@link CarriedTraffic.sealPacket} answers instead of a length. `notOurs`: the packet is the machine's to send, and nothing has changed. */
export const NOT_SEALED = { usedUp: 0, notOurs: -1 } as const;

/** What {@link CarriedTraffic.open} answers instead of a length. */
export const NOT_OPENED = { malformed: -1, unknownEpoch: -2, replayed: -3, badTag: -4 } as const;

export type CipherMaker = (layout: RecordLayout, direction: 'seal' | 'open', key: TrafficKey) => RecordCipher;

export class CarriedTraffic {
  /** Packets up to this length are sealed. */
  tunnelMtu: number;
  /** Where the peer's packets may come from. */
  readonly sources: SourceFilter | undefined;
  /** Bytes in front of an IP packet in its record. */
  readonly prefixLength: number;
  /** Where the plaintext lies in a record. */
  readonly payloadOffset: number;
  /** Bytes of the content type in front of an opened record: see {@link RecordForm}. */
  readonly typeLength: 0 | 1;
  /** After {@link open}: how much of the datagram the record took, also if it did not open (0: all of it). */
  recordLength = 0;

  readonly #arena: Arena;
  readonly #form: RecordForm;
  readonly #frames: PacketFrames;
  readonly #sealer: Sealer;
  readonly #openers: readonly Opener[];
  /** Whether any of them is better off so; else nobody need look. */
  readonly #makesMacs: boolean;
  /** Who made the last MACs. */
  #macsOf: Opener | undefined;

  /**
   * @param limits for tests: the real ones take days to reach
   * @param previous the description that this one replaces: keys that both name go on with their numbers and windows
   * @throws MisuseError if the description is not one that this engine can carry
   */
  constructor(
    arena: Arena,
    makeCipher: CipherMaker,
    description: TrafficDescription,
    previous?: CarriedTraffic,
    limits: KeyLimits = KEY_LIMITS,
  ) {
    checkDescription(description);
    this.#arena = arena;
    this.tunnelMtu = description.tunnelMtu;
    this.sources = sourceFilterOf(description.innerSources);
    this.#frames = new PacketFrames(description.framing);
    const { record } = description;
    this.#form = recordForm(record);
    this.payloadOffset = this.#form.payloadOffset;
    this.typeLength = this.#form.typeLength;
    this.prefixLength = this.payloadOffset + this.#frames.sentLength;
    const { seal } = description;
    const keyLimits = { ...limits, sequence: Math.min(limits.sequence, this.#form.maxSequence) };
    const kept = previous === undefined ? undefined : previous.#sealer;
    const keptOpeners = previous === undefined ? [] : previous.#openers;
    this.#sealer = kept?.identity.is(seal) === true ? kept : new Sealer(makeCipher(record, 'seal', seal), record, seal, keyLimits);
    this.#openers = description.open.map(
      (key) =>
        keptOpeners.find((opener) => opener.identity.is(key)) ??
        new Opener(makeCipher(record, 'open', key), key, description.replayWindow, keyLimits),
    );
    this.#makesMacs = this.#openers.some(({ cipher }) => cipher.makeMacs !== undefined);
    previous?.close(this);
  }

  /** Where sealing and opening stand: what the machine needs to go on by itself. */
  get state(): CarriedState {
    return {
      seal: { id: this.#sealer.identity.id, nextSequence: this.#sealer.next },
      open: this.#openers.map((opener) => ({ id: opener.identity.id, nextSequence: opener.window.next })),
    };
  }

  /** How near the keys are to their limits. */
  get sealing(): KeyUse {
    return this.#sealer.use;
  }
  get opening(): KeyUse {
    return this.#openers.some((opener) => opener.isUsedUp) ? 'over' : 'fresh';
  }

  /** Makes the IP packet at `packet` a record that starts {@link prefixLength} before it. Returns the record's length, or one of {@link NOT_SEALED}. */
  sealPacket(packet: number, length: number): number {
    if (!this.#frames.writeHeader(this.#arena.bytes, packet, length)) return NOT_SEALED.notOurs;
    return this.#seal(packet - this.prefixLength, APPLICATION_DATA, this.#frames.sentLength + length);
  }

  /** Seals a control record whose plaintext lies {@link payloadOffset} behind `record`. Returns the record's length; 0: the key is used up. */
  sealRecord(record: number, contentType: number, length: number): number {
    return this.#seal(record, contentType, length);
  }

  #seal(record: number, contentType: number, length: number): number {
    return this.#sealer.seal(this.#arena.view, this.#form, record, contentType, length);
  }

  /**
   * Makes the MACs of the records in `count` datagrams of one length that lie one behind the other, where that costs less than one by one.
   *
   * @returns of how many, from the first one on, which are to be opened next, in turn
   */
  makeMacs(first: number, length: number, count: number): number {
    if (!this.#makesMacs) return 0;
    const opener = count > 1 && this.#form.readHeader(this.#arena.view, first, length) ? this.#openerOf(this.#form.id) : undefined;
    this.#macsOf = opener;
    return opener?.cipher.makeMacs?.(first, length, count) ?? 0;
  }

  /**
   * Opens the record at `record` of a datagram with `available` more bytes. The plaintext then lies {@link payloadOffset} behind `record`.
   *
   * @param made which of the MACs of {@link makeMacs} is its own; {@link NOT_MADE}: none
   * @returns the plaintext's length, or one of {@link NOT_OPENED}; see {@link recordLength} for where the next record is
   */
  open(record: number, available: number, made: number = NOT_MADE): number {
    const form = this.#form;
    const isRecord = form.readHeader(this.#arena.view, record, available);
    this.recordLength = form.recordLength;
    if (!isRecord) return NOT_OPENED.malformed;
    const opener = this.#openerOf(form.id);
    if (opener === undefined) return NOT_OPENED.unknownEpoch;
    return opener.open(record, form.recordLength, form.sequence, opener === this.#macsOf ? made : NOT_MADE);
  }

  #openerOf(id: number): Opener | undefined {
    for (const opener of this.#openers) if (opener.identity.id === id) return opener;
    return undefined;
  }

  /** Where in an opened record's plaintext of `length` bytes an IP packet begins; {@link NO_PACKET} if it carries none. */
  packetOffset(record: number, length: number): number {
    const { bytes } = this.#arena;
    if (bytes[record] !== APPLICATION_DATA) return NO_PACKET;
    const plaintext = record + this.payloadOffset;
    return this.#frames.packetOffsetInRecord(bytes, plaintext, plaintext + length);
  }

  /** Wipes the keys, but for those that `successor` goes on with. */
  close(successor?: CarriedTraffic): void {
    const kept = successor === undefined ? [] : [successor.#sealer, ...successor.#openers];
    for (const holder of [this.#sealer, ...this.#openers]) {
      if (kept.includes(holder)) continue;
      holder.cipher.close();
      holder.identity.wipe();
    }
  }
}

/** How much of a key's life is over: `late` asks for new keys. */
export type KeyUse = 'fresh' | 'late' | 'over';

/** What makes a key the same one: without it a new association's epoch 1 would be taken for the old one's. */
class KeyIdentity {
  readonly id: number;
  /** A copy, not a KeyObject: this thread has no other use for node:crypto, which takes 4 ms to load. */
  readonly #key: Uint8Array;

  constructor(key: TrafficKey) {
    this.id = key.id;
    this.#key = Uint8Array.from(key.key); // not slice(): a Buffer's is no copy
  }

  is({ id, key }: TrafficKey): boolean {
    return this.id === id && this.#key.length === key.length && this.#key.every((byte, i) => byte === key[i]);
  }

  wipe(): void {
    this.#key.fill(0);
  }
}

class Sealer {
  readonly identity: KeyIdentity;
  readonly cipher: RecordCipher;
  next: number;
  readonly #maxSequence: number;
  readonly #maxBlocks: number;
  #blocks = 0;
  #isBroken = false;

  constructor(cipher: RecordCipher, layout: RecordLayout, key: TrafficKey, limits: KeyLimits) {
    this.cipher = cipher;
    this.identity = new KeyIdentity(key);
    this.next = key.nextSequence;
    this.#maxSequence = limits.sequence;
    this.#maxBlocks = layout.cipher === 'aes-128-gcm' || layout.cipher === 'aes-256-gcm' ? limits.gcmBlocks : Number.POSITIVE_INFINITY;
  }

  get use(): KeyUse {
    if (this.#isBroken || this.next >= this.#maxSequence || this.#blocks >= this.#maxBlocks) return 'over';
    return this.next >= this.#maxSequence * WARNING_SHARE || this.#blocks >= this.#maxBlocks * WARNING_SHARE ? 'late' : 'fresh';
  }

  /** The record's length; 0: the key is used up. */
  seal(view: DataView, form: RecordForm, record: number, contentType: number, length: number): number {
    if (this.#isBroken || this.next >= this.#maxSequence || this.#blocks >= this.#maxBlocks) return 0;
    const recordLength = form.writeHeader(view, record, contentType, this.identity.id, this.next, length);
    this.next++; // before sealing: whatever happens, this number is used
    this.#blocks += (length + 15) >>> 4;
    this.#isBroken = !this.cipher.seal(record, length);
    return this.#isBroken ? 0 : recordLength;
  }
}

class Opener {
  readonly identity: KeyIdentity;
  readonly cipher: RecordCipher;
  readonly window: ReplayWindow;
  readonly #maxForgeries: number;
  #forgeries = 0;

  constructor(cipher: RecordCipher, key: TrafficKey, replayWindow: number, limits: KeyLimits) {
    this.cipher = cipher;
    this.identity = new KeyIdentity(key);
    this.window = new ReplayWindow(replayWindow, key.nextSequence);
    this.#maxForgeries = limits.forgeries;
  }

  get isUsedUp(): boolean {
    return this.#forgeries >= this.#maxForgeries;
  }

  open(record: number, recordLength: number, sequence: number, made: number): number {
    if (!this.window.accepts(sequence)) return NOT_OPENED.replayed;
    if (this.isUsedUp) return NOT_OPENED.badTag;
    const length = this.cipher.open(record, recordLength, made);
    if (length < 0) {
      this.#forgeries++;
      return NOT_OPENED.badTag;
    }
    this.window.mark(sequence);
    return length;
  }
}
