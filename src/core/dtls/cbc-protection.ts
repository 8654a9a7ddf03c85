/**
 * CBC records: MAC, then pad, then encrypt. All dialects; only where a peer has nothing better.
 *
 * Read first: RFC 5246 §6.2.3.2; spec "AnyConnect", section 7.5 (the pre-RFC dialect seals the same way, with its own version bytes).
 *
 *   | header 13 | IV 16 | plaintext | MAC | padding | padding length |
 *                         \____________ encrypted _________________/
 *
 *   MAC over: record number 8 ‖ type ‖ version ‖ length of the plaintext ‖ plaintext
 *
 * The 13 bytes that go before the plaintext into the MAC are put where the IV's last bytes stand, so that the MAC runs over one piece of memory.
 *
 * Opening must not tell by its time how long the padding was, or whether padding or MAC was wrong (Lucky 13: AlFardan and Paterson, 2013). As far as
 * JavaScript can: the padding is checked without branches, a record with bad padding is MACed as if it had none, and the hash blocks that longer
 * padding saves are hashed elsewhere. Either way the record is dropped without a word, which leaves an attacker nothing to time but our next packet.
 */
import { equalInConstantTime } from '../crypto/constant-time.ts';
import type { Cbc, CryptoProvider, Mac } from '../crypto/provider.ts';
import { MAC_LENGTHS, type SuiteProtection } from '../tls-messages/cipher-suites.ts';
import type { DirectionKeys } from '../tls-messages/key-schedule.ts';
import { RECORD_HEADER_LENGTH, RECORD_NUMBER_LENGTH, RECORD_NUMBER_OFFSET, writeRecordHeader, writeU16 } from './record.ts';
import type { RecordProtection } from './record-protection.ts';

type CbcSuite = Extract<SuiteProtection, { readonly kind: 'cbc' }>;

export const CBC_BLOCK_LENGTH = 16;

const PLAINTEXT_OFFSET = RECORD_HEADER_LENGTH + CBC_BLOCK_LENGTH;

/** Record number, type, version and length, in front of the plaintext. */
const MAC_PREFIX_LENGTH = 13;
const MAC_INPUT_OFFSET = PLAINTEXT_OFFSET - MAC_PREFIX_LENGTH;

/** RFC 5246 §6.2.3.2: up to 255 bytes of padding, and the byte that counts them. */
const MAX_PADDING = 255;

/** SHA-1 and SHA-256 hash blocks of 64 bytes; the last one has at least 9 bytes of its own (a bit, and the length). */
const HASH_BLOCK_LENGTH = 64;
const HASH_TRAILER_LENGTH = 9;

const TRAFFIC_EPOCH = 1;

export class CbcProtection implements RecordProtection {
  readonly plaintextOffset: number = PLAINTEXT_OFFSET;
  readonly maxOverhead: number;
  readonly #crypto: CryptoProvider;
  readonly #macName: CbcSuite['mac'];
  readonly #cbc: Cbc;
  readonly #mac: Mac;
  readonly #keys: DirectionKeys;
  readonly #version: number;
  readonly #iv = new Uint8Array(CBC_BLOCK_LENGTH);
  /** What is hashed in place of the blocks that padding saved. */
  readonly #dummy = new Uint8Array(Math.ceil(MAX_PADDING / HASH_BLOCK_LENGTH) * HASH_BLOCK_LENGTH);

  constructor(crypto: CryptoProvider, suite: CbcSuite, keys: DirectionKeys, version: number) {
    this.#crypto = crypto;
    this.#macName = suite.mac;
    this.#cbc = crypto.cbc(suite.cipher, keys.key);
    this.#mac = crypto.mac(suite.mac, keys.mac);
    this.#keys = keys;
    this.#version = version;
    this.maxOverhead = PLAINTEXT_OFFSET + MAC_LENGTHS[suite.mac] + CBC_BLOCK_LENGTH;
  }

  seal(type: number, sequence: number, plaintext: Uint8Array, room: Uint8Array): number {
    const macEnd = PLAINTEXT_OFFSET + plaintext.length + this.#mac.length;
    const padding = CBC_BLOCK_LENGTH - 1 - ((macEnd - PLAINTEXT_OFFSET) % CBC_BLOCK_LENGTH); // minimal
    const end = macEnd + padding + 1;
    writeRecordHeader(room, type, this.#version, TRAFFIC_EPOCH, sequence, end - RECORD_HEADER_LENGTH);
    room.set(plaintext, PLAINTEXT_OFFSET);
    room.set(this.#macOf(room, plaintext.length), macEnd - this.#mac.length);
    room.fill(padding, macEnd, end);
    const iv = this.#crypto.randomBytes(CBC_BLOCK_LENGTH);
    const blocks = room.subarray(PLAINTEXT_OFFSET, end);
    this.#cbc.encrypt(iv, blocks, blocks);
    room.set(iv, RECORD_HEADER_LENGTH);
    return end;
  }

  open(record: Uint8Array): number {
    const length = record.length - PLAINTEXT_OFFSET; // plaintext, MAC, padding
    const macLength = this.#mac.length;
    if (length < macLength + 1 || length % CBC_BLOCK_LENGTH !== 0) return -1; // what everybody can see is no secret
    for (let i = 0; i < CBC_BLOCK_LENGTH; i++) this.#iv[i] = record[RECORD_HEADER_LENGTH + i] ?? 0;
    const blocks = record.subarray(PLAINTEXT_OFFSET);
    this.#cbc.decrypt(this.#iv, blocks, blocks);

    const longest = length - macLength - 1; // the plaintext if there were no padding
    const padding = checkedPadding(blocks, longest);
    const plaintextLength = longest - (padding & MAX_PADDING);
    const mac = this.#macOf(record, plaintextLength);
    const saved = hashBlocks(longest) - hashBlocks(plaintextLength);
    this.#crypto.hash(this.#macName, this.#dummy.subarray(0, saved * HASH_BLOCK_LENGTH));
    const received = blocks.subarray(plaintextLength, plaintextLength + macLength);
    const isAuthentic = equalInConstantTime(mac, received);
    return isAuthentic && padding >= 0 ? plaintextLength : -1;
  }

  wipe(): void {
    this.#keys.key.fill(0);
    this.#keys.mac.fill(0);
  }

  /** The MAC of a record whose plaintext stands in the clear; overwrites the IV. */
  #macOf(record: Uint8Array, plaintextLength: number): Uint8Array {
    const at = MAC_INPUT_OFFSET;
    record[at + 8] = record[0] ?? 0;
    record[at + 9] = record[1] ?? 0;
    record[at + 10] = record[2] ?? 0;
    writeU16(record, at + 11, plaintextLength);
    record.copyWithin(at, RECORD_NUMBER_OFFSET, RECORD_NUMBER_OFFSET + RECORD_NUMBER_LENGTH);
    return this.#mac.compute(record.subarray(at, PLAINTEXT_OFFSET + plaintextLength));
  }
}

/**
 * The number of padding bytes in front of the last byte, which names it; with all bits below the sign cleared and the sign set if the padding is
 * bad. No branch depends on the bytes.
 */
function checkedPadding(blocks: Uint8Array, longest: number): number {
  const padding = blocks[blocks.length - 1] ?? 0;
  let bad = longest - padding; // negative if there is no room for so much padding
  const scanned = Math.min(MAX_PADDING, blocks.length - 1);
  for (let i = 1; i <= scanned; i++) {
    const isPadding = (i - padding - 1) >> 31; // all ones for i <= padding
    const differs = isPadding & ((blocks[blocks.length - 1 - i] ?? 0) ^ padding);
    bad |= -differs; // negative unless equal
  }
  const badMask = bad >> 31;
  return (padding & ~badMask) | (badMask & -0x8000_0000);
}

/** Blocks that the inner hash of an HMAC runs over, after the one of the key. */
function hashBlocks(plaintextLength: number): number {
  return Math.ceil((MAC_PREFIX_LENGTH + plaintextLength + HASH_TRAILER_LENGTH) / HASH_BLOCK_LENGTH);
}
