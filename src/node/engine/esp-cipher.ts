/**
 * ESP packets: pad, encrypt, then MAC.
 *
 * Read first: RFC 4303 §2 and §3.4, RFC 3602 (AES-CBC); spec "ESP", section 2.
 *
 *   | SPI 4 | sequence 4 | IV 16 | payload | 01 02 03… | padding length | next header | MAC 12 or 16 |
 *                                  \____________________ encrypted ___________________/
 *
 * What is sealed and opened is the payload with the next header in front: see {@link RecordForm}.
 */
import type { EspMac } from '../../core/tunnel/traffic.ts';
import type { Arena } from '../ffi/arena.ts';
import { LANES } from '../ffi/openssl-multi-block.ts';
import type { CbcLanes, LaneOwner } from './cbc-lanes.ts';
import type { CbcMac } from './cbc-mac.ts';
import { type CbcRoom, MAC_ROOM } from './cbc-room.ts';
import { NOT_MADE, type RecordCipher } from './record-cipher.ts';
import { APPLICATION_DATA, BLOCK_LENGTH, ESP_HEADER_LENGTH, ESP_MAC_LENGTHS, ESP_TRAILER_LENGTH } from './record-form.ts';

const PAYLOAD_OFFSET = ESP_HEADER_LENGTH + BLOCK_LENGTH;
const NEXT_HEADER_OFFSET = PAYLOAD_OFFSET - 1;

export class EspCipher implements RecordCipher, LaneOwner {
  readonly #arena: Arena;
  readonly #cbcMac: CbcMac;
  readonly #room: CbcRoom;
  readonly #macLength: number;
  readonly #lanes: CbcLanes | undefined;
  #hasFailed = false;

  /** @param lanes where packets wait to be sealed together; undefined: each is sealed at once */
  constructor(arena: Arena, cbcMac: CbcMac, room: CbcRoom, mac: EspMac, lanes: CbcLanes | undefined) {
    this.#arena = arena;
    this.#cbcMac = cbcMac;
    this.#room = room;
    this.#lanes = lanes;
    this.#macLength = ESP_MAC_LENGTHS[mac];
  }

  seal(record: number, length: number): boolean {
    const { bytes } = this.#arena;
    const payload = record + PAYLOAD_OFFSET;
    const payloadEnd = payload + length - 1;
    const padding = BLOCK_LENGTH - 1 - ((length - 1 + ESP_TRAILER_LENGTH - 1) % BLOCK_LENGTH); // minimal
    for (let i = 0; i < padding; i++) bytes[payloadEnd + i] = i + 1;
    const end = payloadEnd + padding + ESP_TRAILER_LENGTH;
    bytes[end - 2] = padding;
    bytes[end - 1] = bytes[record + NEXT_HEADER_OFFSET] ?? 0;
    const iv = record + ESP_HEADER_LENGTH;
    this.#room.writeIv(iv);
    if (this.#hasFailed) return false;
    if (this.#lanes !== undefined) {
      this.#lanes.add(this, iv, end - payload);
      return true;
    }
    return this.encrypt(iv, end - payload) && this.authenticate(iv, end - payload);
  }

  encryptEach(address: number, length: number): boolean {
    return this.#cbcMac.encryptEach(address, length);
  }

  encrypt(iv: number, length: number): boolean {
    return this.#cbcMac.blocks(iv, length);
  }

  authenticate(iv: number, length: number): boolean {
    const [record, end] = [iv - ESP_HEADER_LENGTH, iv + BLOCK_LENGTH + length];
    return this.#cbcMac.mac(record, end - record, end, this.#macLength);
  }

  get sealsMany(): boolean {
    return this.#cbcMac.manyCbc !== undefined && this.#cbcMac.manyHmac !== undefined;
  }

  sealMany(list: number, count: number, length: number): void {
    const { manyCbc, manyHmac } = this.#cbcMac;
    manyCbc?.encrypt(list, count, length);
    manyHmac?.makeMacs(list, count, -ESP_HEADER_LENGTH, PAYLOAD_OFFSET + length);
    const { view } = this.#arena;
    for (let lane = 0; lane < count; lane++) {
      manyHmac?.writeMac(lane, view.getInt32(list + lane * 4, true) + BLOCK_LENGTH + length, this.#macLength);
    }
  }

  fail(iv: number, length: number): void {
    this.#hasFailed = true;
    this.#arena.bytes.fill(0, iv - ESP_HEADER_LENGTH, iv + BLOCK_LENGTH + length + this.#macLength);
  }

  makeMacs(first: number, recordLength: number, count: number): number {
    const { manyHmac } = this.#cbcMac;
    if (manyHmac === undefined || count < 2) return 0;
    const { view } = this.#arena;
    const { list, macs } = this.#room;
    const made = Math.min(count, LANES);
    for (let i = 0; i < made; i++) view.setInt32(list + i * 4, first + i * recordLength, true);
    manyHmac.makeMacs(list, made, 0, recordLength - this.#macLength);
    for (let i = 0; i < made; i++) manyHmac.writeMac(i, macs + i * MAC_ROOM, this.#macLength);
    return made;
  }

  open(record: number, recordLength: number, made: number): number {
    const { bytes } = this.#arena;
    const payload = record + PAYLOAD_OFFSET;
    const end = record + recordLength - this.#macLength;
    if (!this.#isAuthentic(record, end, made)) return -1;
    if (!this.#cbcMac.blocks(record + ESP_HEADER_LENGTH, end - payload)) return -1;
    const padding = bytes[end - 2] ?? 0;
    const payloadEnd = end - ESP_TRAILER_LENGTH - padding;
    if (payloadEnd <= payload) return -1; // nothing in it, or less
    for (let i = 0; i < padding; i++) if (bytes[payloadEnd + i] !== i + 1) return -1; // RFC 4303 §2.4
    bytes[record] = APPLICATION_DATA;
    bytes[record + NEXT_HEADER_OFFSET] = bytes[end - 1] ?? 0;
    return payloadEnd - payload + 1;
  }

  #isAuthentic(record: number, end: number, made: number): boolean {
    const room = this.#room;
    if (made !== NOT_MADE) return room.isMac(end, this.#macLength, room.macs + made * MAC_ROOM);
    return this.#cbcMac.mac(record, end - record, room.mac, this.#macLength) && room.isMac(end, this.#macLength);
  }

  close(): void {
    this.#lanes?.finish(); // perhaps it has some of ours
    this.#cbcMac.close();
  }
}
