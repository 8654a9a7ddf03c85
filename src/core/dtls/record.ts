/**
 * The frame of a DTLS record.
 *
 * Read first: RFC 6347 §4.1.
 *
 *   0      1         3       5                 11       13
 *   +------+---------+-------+-----------------+--------+---------------------------
 *   | type | version | epoch | sequence number | length | payload: plain or sealed…
 *   +------+---------+-------+-----------------+--------+---------------------------
 *                     \_______________________/
 *                      8 bytes that MACs and nonces call the record number
 */

export const CONTENT_TYPES = { changeCipherSpec: 20, alert: 21, handshake: 22, applicationData: 23 } as const;

export const RECORD_HEADER_LENGTH = 13;

/** Where the record number (epoch and sequence) stands in the header. */
export const RECORD_NUMBER_OFFSET = 3;
export const RECORD_NUMBER_LENGTH = 8;

/** Handshakes here have two epochs: 0 in the clear, 1 under the one set of keys. There is no renegotiation. */
export type Epoch = 0 | 1;

/** RFC 6347 §4.1: sequence numbers have 48 bits and must not wrap. */
export const MAX_SEQUENCE = 0xffff_ffff_ffff;

/** RFC 5246 §6.2.3: a payload is at most this long, 2,048 bytes more than the largest plaintext. */
export const MAX_PAYLOAD_LENGTH = 18_432;

export function readU16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

export function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** The sequence number of a record that begins at `at`. */
export function readSequence(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + 5) * 0x1_0000_0000 + readU16(bytes, at + 7) * 0x1_0000 + readU16(bytes, at + 9);
}

/** Writes a header at the start of `record`. */
export function writeRecordHeader(
  record: Uint8Array,
  type: number,
  version: number,
  epoch: number,
  sequence: number,
  payloadLength: number,
): void {
  record[0] = type;
  writeU16(record, 1, version);
  writeU16(record, 3, epoch);
  writeU16(record, 5, Math.floor(sequence / 0x1_0000_0000));
  writeU16(record, 7, Math.floor(sequence / 0x1_0000) & 0xffff);
  writeU16(record, 9, sequence & 0xffff);
  writeU16(record, 11, payloadLength);
}
