/**
 * What a traffic description makes of a path: IP packets and control records become DTLS 1.2 records in place, and back.
 *
 * Read first: RFC 6347 §4.1 (the record), RFC 5288 and RFC 7905 (the ciphers); spec "AnyConnect", section 7.1 (what is inside).
 *
 *   0      1         3       5          11       13               21
 *   +------+---------+-------+----------+--------+----------------+--------+-----------+-----+
 *   | type | fe   fd | epoch | sequence | length | explicit nonce | header | IP packet | tag |
 *   +------+---------+-------+----------+--------+----------------+--------+-----------+-----+
 *          a prefix of fixed length per path                               ▲
 *                                          the packet never moves: it is read from the device here, and written to it from here
 *
 * ### Why no nonce is used twice
 *
 * A nonce is a key's epoch and record number. One sealer exists per epoch and path, here, and its number only grows. It starts where the machine
 * stopped (the description's nextSequence), and the machine seals nothing until the description is withdrawn, which ends the sealer and
 * says where the machine goes on. When another description replaces it, what has the same epoch and key goes on where it is. At the end of the
 * numbers, or when OpenSSL counted differently, the sealer stops for good.
 */
import { createSecretKey, type KeyObject } from 'node:crypto';
import { MisuseError } from '../../core/errors.ts';
import type { SourceFilter } from '../../core/tunnel/source-filter.ts';
import type { AeadCipher, TrafficDescription, TrafficKey } from '../../core/tunnel/traffic.ts';
import type { CarriedState } from '../datagram-path.ts';
import type { Arena } from '../ffi/arena.ts';
import { explicitNonceLength, RECORD_HEADER_LENGTH, TAG_LENGTH } from '../ffi/openssl.ts';
import { MAX_INNER_SOURCES, sourceFilterOf } from './carried-packets.ts';
import { MAX_HEADER_LENGTH, NO_PACKET, PacketFrames } from './packet-frames.ts';
import type { RecordCipher } from './record-cipher.ts';
import { ReplayWindow } from './replay-window.ts';

const DTLS_1_2 = 0xfefd;
const APPLICATION_DATA = 23;

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
  sequence: 2 ** 48, // RFC 6347 §4.1: six bytes
  // RFC 8446 §5.5: up to 2^24.5 records of 2^14 bytes an observer's advantage stays negligible (2^-57). That is 389 GB. ChaCha20-Poly1305 has no such
  // limit before the record numbers end.
  gcmBlocks: 2 ** 34.5,
  forgeries: 2 ** 36, // RFC 9147 §4.5.3, for all three ciphers
};

/** From this share of a limit on, the machine is told that it is time for new keys. */
const WARNING_SHARE = 15 / 16;

/** Limits of what a description may ask for. */
const MAX_KEYS = 4;
const MIN_REPLAY_WINDOW = 64;
const MAX_REPLAY_WINDOW = 4096;

/** The most that stands in front of an IP packet: record header, explicit nonce, the description's header. */
export const MAX_PREFIX_LENGTH: number = RECORD_HEADER_LENGTH + 8 + MAX_HEADER_LENGTH;

/** What {@link CarriedTraffic.open} answers instead of a length. */
export const NOT_OPENED = { malformed: -1, unknownEpoch: -2, replayed: -3, badTag: -4 } as const;

export type CipherMaker = (cipher: AeadCipher, direction: 'seal' | 'open', key: TrafficKey) => RecordCipher;

export class CarriedTraffic {
  /** Packets up to this length are sealed. */
  tunnelMtu: number;
  /** Where the peer's packets may come from. */
  readonly sources: SourceFilter | undefined;
  /** Bytes in front of an IP packet in its record. */
  readonly prefixLength: number;
  /** Where the plaintext lies in a record. */
  readonly payloadOffset: number;
  /** After {@link open}: how much of the datagram the record took, also if it did not open (0: all of it). */
  recordLength = 0;

  readonly #arena: Arena;
  readonly #frames: PacketFrames;
  readonly #sealer: Sealer;
  readonly #openers: readonly Opener[];

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
    const { cipher } = description.record;
    this.payloadOffset = RECORD_HEADER_LENGTH + explicitNonceLength(cipher);
    this.prefixLength = this.payloadOffset + this.#frames.sentLength;
    const { seal } = description;
    const kept = previous === undefined ? undefined : previous.#sealer;
    const keptOpeners = previous === undefined ? [] : previous.#openers;
    this.#sealer = kept?.identity.is(seal) === true ? kept : new Sealer(makeCipher(cipher, 'seal', seal), cipher, seal, limits);
    this.#openers = description.open.map(
      (key) =>
        keptOpeners.find((opener) => opener.identity.is(key)) ??
        new Opener(makeCipher(cipher, 'open', key), key, description.replayWindow, limits),
    );
    previous?.close(this);
  }

  /** Where sealing and opening stand: what the machine needs to go on by itself. */
  get state(): CarriedState {
    return {
      seal: { id: this.#sealer.identity.epoch, nextSequence: this.#sealer.next },
      open: this.#openers.map((opener) => ({ id: opener.identity.epoch, nextSequence: opener.window.next })),
    };
  }

  /** How near the keys are to their limits. */
  get sealing(): KeyUse {
    return this.#sealer.use;
  }
  get opening(): KeyUse {
    return this.#openers.some((opener) => opener.isUsedUp) ? 'over' : 'fresh';
  }

  /**
   * Makes the IP packet at `packet` a record that starts {@link prefixLength} before it. Returns the record's length; 0: the key is used up, or
   * packets of its family are not sent.
   */
  sealPacket(packet: number, length: number): number {
    if (!this.#frames.writeHeader(this.#arena.bytes, packet, length)) return 0;
    return this.#seal(packet - this.prefixLength, APPLICATION_DATA, this.#frames.sentLength + length);
  }

  /** Seals a control record whose plaintext lies {@link payloadOffset} behind `record`. Returns the record's length; 0: the key is used up. */
  sealRecord(record: number, contentType: number, length: number): number {
    return this.#seal(record, contentType, length);
  }

  #seal(record: number, contentType: number, length: number): number {
    const { view } = this.#arena;
    view.setUint8(record, contentType);
    view.setUint16(record + 1, DTLS_1_2);
    const bodyLength = this.payloadOffset - RECORD_HEADER_LENGTH + length + TAG_LENGTH;
    view.setUint16(record + 11, bodyLength);
    return this.#sealer.seal(view, record, length) ? RECORD_HEADER_LENGTH + bodyLength : 0;
  }

  /**
   * Opens the record at `record` of a datagram with `available` more bytes. The plaintext then lies {@link payloadOffset} behind `record`.
   *
   * @returns the plaintext's length, or one of {@link NOT_OPENED}; see {@link recordLength} for where the next record is
   */
  open(record: number, available: number): number {
    this.recordLength = 0;
    const { view } = this.#arena;
    if (available < RECORD_HEADER_LENGTH || view.getUint16(record + 1) !== DTLS_1_2) return NOT_OPENED.malformed;
    const bodyLength = view.getUint16(record + 11);
    if (bodyLength > available - RECORD_HEADER_LENGTH) return NOT_OPENED.malformed;
    this.recordLength = RECORD_HEADER_LENGTH + bodyLength;
    const length = this.recordLength - this.payloadOffset - TAG_LENGTH;
    if (length < 0) return NOT_OPENED.malformed;
    const epoch = view.getUint16(record + 3);
    for (const opener of this.#openers) {
      if (opener.identity.epoch === epoch) return opener.open(view, record, bodyLength, length);
    }
    return NOT_OPENED.unknownEpoch;
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
    for (const holder of [this.#sealer, ...this.#openers]) if (!kept.includes(holder)) holder.cipher.close();
  }
}

/** How much of a key's life is over: `late` asks for new keys. */
export type KeyUse = 'fresh' | 'late' | 'over';

/** What makes a key the same one: without it a new association's epoch 1 would be taken for the old one's. */
class KeyIdentity {
  readonly epoch: number;
  readonly #key: KeyObject;

  constructor(key: TrafficKey) {
    this.epoch = key.id;
    this.#key = createSecretKey(key.key);
  }

  is(key: TrafficKey): boolean {
    return this.epoch === key.id && this.#key.equals(createSecretKey(key.key));
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

  constructor(cipher: RecordCipher, algorithm: AeadCipher, key: TrafficKey, limits: KeyLimits) {
    this.cipher = cipher;
    this.identity = new KeyIdentity(key);
    this.next = key.nextSequence;
    this.#maxSequence = limits.sequence;
    this.#maxBlocks = algorithm === 'chacha20-poly1305' ? Number.POSITIVE_INFINITY : limits.gcmBlocks;
  }

  get use(): KeyUse {
    if (this.#isBroken || this.next >= this.#maxSequence || this.#blocks >= this.#maxBlocks) return 'over';
    return this.next >= this.#maxSequence * WARNING_SHARE || this.#blocks >= this.#maxBlocks * WARNING_SHARE ? 'late' : 'fresh';
  }

  seal(view: DataView, record: number, length: number): boolean {
    if (this.#isBroken || this.next >= this.#maxSequence || this.#blocks >= this.#maxBlocks) return false;
    view.setUint16(record + 3, this.identity.epoch);
    view.setUint16(record + 5, Math.floor(this.next / 2 ** 32));
    view.setUint32(record + 7, this.next % 2 ** 32);
    this.next++; // before sealing: whatever happens, this number is used
    this.#blocks += (length + 15) >>> 4;
    this.#isBroken = !this.cipher.seal(record, length);
    return !this.#isBroken;
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

  open(view: DataView, record: number, bodyLength: number, length: number): number {
    const sequence = view.getUint16(record + 5) * 2 ** 32 + view.getUint32(record + 7);
    if (!this.window.accepts(sequence)) return NOT_OPENED.replayed;
    if (this.isUsedUp) return NOT_OPENED.badTag;
    if (!this.cipher.open(record, bodyLength)) {
      this.#forgeries++;
      return NOT_OPENED.badTag;
    }
    this.window.mark(sequence);
    return length;
  }
}

const KEY_LENGTHS: Readonly<Record<AeadCipher, { readonly key: number; readonly iv: number }>> = {
  'aes-128-gcm': { key: 16, iv: 4 },
  'aes-256-gcm': { key: 32, iv: 4 },
  'chacha20-poly1305': { key: 32, iv: 12 },
};

function checkDescription(description: TrafficDescription): void {
  const { record, seal, open, replayWindow, tunnelMtu, innerSources = [] } = description;
  const lengths = KEY_LENGTHS[record.cipher];
  const must = (holds: boolean, what: string): void => {
    if (!holds) throw new MisuseError(`traffic description: ${what}`);
  };
  must(lengths !== undefined, `cipher ${record.cipher} is not one the engine knows`);
  must(open.length >= 1 && open.length <= MAX_KEYS, `${open.length} keys to open with; 1 to ${MAX_KEYS} are possible`);
  must(new Set(open.map((key) => key.id)).size === open.length, 'two keys to open with have the same epoch');
  for (const key of [seal, ...open]) {
    must(Number.isInteger(key.id) && key.id >= 0 && key.id <= 0xffff, `epoch ${key.id} has more than 16 bits`);
    must(key.key.length === lengths.key, `key of ${key.key.length} bytes; ${record.cipher} wants ${lengths.key}`);
    must(key.iv.length === lengths.iv, `iv of ${key.iv.length} bytes; ${record.cipher} wants ${lengths.iv}`);
    must(
      Number.isInteger(key.nextSequence) && key.nextSequence >= 0 && key.nextSequence <= KEY_LIMITS.sequence,
      'record number beyond 48 bits',
    );
  }
  must(replayWindow >= MIN_REPLAY_WINDOW && replayWindow <= MAX_REPLAY_WINDOW, `replay window of ${replayWindow} records`);
  must(Number.isInteger(tunnelMtu) && tunnelMtu >= 0 && tunnelMtu <= 0xffff, `tunnel MTU ${tunnelMtu}`);
  must(innerSources.length <= MAX_INNER_SOURCES, `${innerSources.length} networks that packets may come from`);
}
