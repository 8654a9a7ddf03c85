/**
 * DTLS records with CBC: MAC, then pad, then encrypt.
 *
 * Read first: RFC 5246 §6.2.3.2, RFC 6347 §4.1.2.1; core/dtls/cbc-padding.ts, for what must not be told by time.
 *
 *   | header 13 | IV 16 | plaintext | MAC | padding | padding length |
 *
 * The 13 bytes that go before the plaintext into the MAC stand where the IV's last bytes are, while the MAC is made: it runs over one piece of memory.
 */
import { CBC_BLOCK_LENGTH, checkedPadding, MAC_PREFIX_LENGTH, MAX_PADDING, savedBytes } from '../../core/dtls/cbc-padding.ts';
import { MAC_LENGTHS } from '../../core/tls-messages/cipher-suites.ts';
import type { DtlsMac } from '../../core/tunnel/traffic.ts';
import type { Arena } from '../ffi/arena.ts';
import { RECORD_HEADER_LENGTH } from '../ffi/openssl.ts';
import type { CbcLanes, LaneOwner } from './cbc-lanes.ts';
import type { CbcMac } from './cbc-mac.ts';
import type { CbcRoom } from './cbc-room.ts';
import type { RecordCipher } from './record-cipher.ts';

const PLAINTEXT_OFFSET = RECORD_HEADER_LENGTH + CBC_BLOCK_LENGTH;

export class DtlsCbcCipher implements RecordCipher, LaneOwner {
  readonly #arena: Arena;
  readonly #cbcMac: CbcMac;
  readonly #room: CbcRoom;
  readonly #macLength: number;
  readonly #lanes: CbcLanes | undefined;
  #hasFailed = false;

  /** @param lanes where records wait to be encrypted together; undefined: each is encrypted at once */
  constructor(arena: Arena, cbcMac: CbcMac, room: CbcRoom, mac: DtlsMac, lanes: CbcLanes | undefined) {
    this.#arena = arena;
    this.#cbcMac = cbcMac;
    this.#room = room;
    this.#lanes = lanes;
    this.#macLength = MAC_LENGTHS[mac];
  }

  seal(record: number, length: number): boolean {
    const plaintext = record + PLAINTEXT_OFFSET;
    const macEnd = plaintext + length + this.#macLength;
    if (this.#hasFailed || !this.#mac(record, length, plaintext + length)) return false;
    const padding = CBC_BLOCK_LENGTH - 1 - ((length + this.#macLength) % CBC_BLOCK_LENGTH); // minimal
    this.#arena.bytes.fill(padding, macEnd, macEnd + padding + 1);
    const iv = record + RECORD_HEADER_LENGTH;
    this.#room.writeIv(iv);
    const encrypted = macEnd + padding + 1 - plaintext;
    if (this.#lanes === undefined) return this.encrypt(iv, encrypted);
    this.#lanes.add(this, iv, encrypted);
    return true;
  }

  encryptEach(address: number, length: number): boolean {
    return this.#cbcMac.encryptEach(address, length);
  }

  encrypt(iv: number, length: number): boolean {
    return this.#cbcMac.blocks(iv, length);
  }

  get sealsMany(): boolean {
    return this.#cbcMac.manyCbc !== undefined;
  }

  sealMany(list: number, count: number, length: number): void {
    this.#cbcMac.manyCbc?.encrypt(list, count, length);
  }

  /** The MAC is in what was encrypted. */
  authenticate(): boolean {
    return true;
  }

  fail(iv: number, length: number): void {
    this.#hasFailed = true;
    this.#arena.bytes.fill(0, iv - RECORD_HEADER_LENGTH, iv + CBC_BLOCK_LENGTH + length);
  }

  open(record: number, recordLength: number): number {
    const { bytes } = this.#arena;
    const room = this.#room;
    const plaintext = record + PLAINTEXT_OFFSET;
    const length = recordLength - PLAINTEXT_OFFSET;
    if (!this.#cbcMac.blocks(record + RECORD_HEADER_LENGTH, length)) return -1;
    const longest = length - this.#macLength - 1; // the plaintext if there were no padding
    const padding = checkedPadding(bytes, plaintext, length, longest);
    const plaintextLength = longest - (padding & MAX_PADDING);
    const isMade = this.#mac(record, plaintextLength, room.mac);
    this.#cbcMac.mac(room.dummy, savedBytes(longest, plaintextLength), room.unusedMac, this.#macLength);
    const isAuthentic = room.isMac(plaintext + plaintextLength, this.#macLength);
    return isMade && isAuthentic && padding >= 0 ? plaintextLength : -1;
  }

  close(): void {
    this.#lanes?.finish(); // perhaps it has some of ours
    this.#cbcMac.close();
  }

  /** Makes the MAC of a record whose plaintext stands in the clear; overwrites the IV. */
  #mac(record: number, length: number, out: number): boolean {
    const { bytes, view } = this.#arena;
    const start = record + PLAINTEXT_OFFSET - MAC_PREFIX_LENGTH;
    bytes.copyWithin(start, record + 3, record + 11); // epoch and number
    bytes.copyWithin(start + 8, record, record + 3); // type and version
    view.setUint16(start + 11, length);
    return this.#cbcMac.mac(start, MAC_PREFIX_LENGTH + length, out, this.#macLength);
  }
}
