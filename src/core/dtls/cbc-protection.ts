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
 * Opening must not tell by its time how long the padding was, or whether padding or MAC was wrong: see cbc-padding.ts.
 */
import { equalInConstantTime } from '../crypto/constant-time.ts';
import type { Cbc, CryptoProvider, Mac } from '../crypto/provider.ts';
import { MAC_LENGTHS, type SuiteProtection } from '../tls-messages/cipher-suites.ts';
import type { DirectionKeys } from '../tls-messages/key-schedule.ts';
import type { RecordLayout, TrafficKey } from '../tunnel/traffic.ts';
import { copyOf } from '../wire/copy.ts';
import { CBC_BLOCK_LENGTH, checkedPadding, MAC_PREFIX_LENGTH, MAX_PADDING, MAX_SAVED_BYTES, savedBytes } from './cbc-padding.ts';
import { RECORD_HEADER_LENGTH, RECORD_NUMBER_LENGTH, RECORD_NUMBER_OFFSET, writeRecordHeader, writeU16 } from './record.ts';
import type { RecordProtection } from './record-protection.ts';

type CbcSuite = Extract<SuiteProtection, { readonly kind: 'cbc' }>;

const PLAINTEXT_OFFSET = RECORD_HEADER_LENGTH + CBC_BLOCK_LENGTH;

const MAC_INPUT_OFFSET = PLAINTEXT_OFFSET - MAC_PREFIX_LENGTH;

const TRAFFIC_EPOCH = 1;

export class CbcProtection implements RecordProtection {
  readonly plaintextOffset: number = PLAINTEXT_OFFSET;
  readonly maxOverhead: number;
  readonly layout: RecordLayout;
  readonly #crypto: CryptoProvider;
  readonly #macName: CbcSuite['mac'];
  readonly #cbc: Cbc;
  readonly #mac: Mac;
  readonly #keys: DirectionKeys;
  readonly #version: number;
  readonly #iv = new Uint8Array(CBC_BLOCK_LENGTH);
  /** What is hashed in place of the blocks that padding saved. */
  readonly #dummy = new Uint8Array(MAX_SAVED_BYTES);

  constructor(crypto: CryptoProvider, suite: CbcSuite, keys: DirectionKeys, version: number) {
    this.#crypto = crypto;
    this.#macName = suite.mac;
    this.#cbc = crypto.cbc(suite.cipher, keys.key);
    this.#mac = crypto.mac(suite.mac, keys.mac);
    this.#keys = keys;
    this.#version = version;
    this.layout = { kind: 'dtls-cbc', cipher: suite.cipher, mac: suite.mac, version };
    this.maxOverhead = PLAINTEXT_OFFSET + MAC_LENGTHS[suite.mac] + CBC_BLOCK_LENGTH;
  }

  /** Copies of the keys, for someone else who seals or opens. */
  exportKeys(): Pick<TrafficKey, 'key' | 'iv' | 'mac'> {
    return { key: copyOf(this.#keys.key), iv: new Uint8Array(0), mac: copyOf(this.#keys.mac) };
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
    const padding = checkedPadding(record, PLAINTEXT_OFFSET, length, longest);
    const plaintextLength = longest - (padding & MAX_PADDING);
    const mac = this.#macOf(record, plaintextLength);
    this.#crypto.hash(this.#macName, this.#dummy.subarray(0, savedBytes(longest, plaintextLength)));
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
