/**
 * oNCP records: what lies directly in the TLS stream of a Network Connect tunnel.
 *
 * Read first: spec "Juniper NC", sections 5.2 to 5.4 and 9.
 *
 *   0        2
 *   +--------+---------------
 *   | length | that many bytes          little endian, unlike everything inside
 *   +--------+---------------
 *   | 00  00 | reason                   the gateway has ended the session
 */
import { PeerMisbehavedError } from '../../errors.ts';
import { ByteReader } from '../../wire/byte-reader.ts';
import { ByteWriter } from '../../wire/byte-writer.ts';
import { fromUtf8, printable, utf8 } from '../../wire/text.ts';
import type { UnitFormat } from './unit-reader.ts';

export const RECORD_HEADER_LENGTH = 2;

/** Of an ending, which says zero: its reason follows. */
const ENDING_LENGTH = RECORD_HEADER_LENGTH + 1;

/** Bytes of a host's name (RFC 1035 §2.3.4), and what stands around it in a hello. */
const MAX_NAME_LENGTH = 255;
const HELLO_START = Uint8Array.of(0x00, 0x04, 0x00, 0x00, 0x00);
const HELLO_END = Uint8Array.of(0xbb, 0x01, 0x00, 0x00, 0x00, 0x00);

/** What is known of the reasons for which a gateway ends a session, and of its status bytes. */
export const END_REASONS = { expired: 1, terminated: 5, idle: 8 } as const;
export const STATUS_OK = 0;
export const STATUS_ONLY_PULSE = 8;

export const RECORDS: UnitFormat = {
  headerLength: RECORD_HEADER_LENGTH,
  lengthAt: (bytes, at) => {
    const length = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
    return length === 0 ? ENDING_LENGTH : RECORD_HEADER_LENGTH + length;
  },
};

/** Whether the record that begins at `start` says that the session is over; its last byte is the reason. */
export function isEnding(bytes: Uint8Array, start: number): boolean {
  return bytes[start] === 0 && bytes[start + 1] === 0;
}

export function renderEnding(reason: number): Uint8Array {
  return Uint8Array.of(0, 0, reason);
}

/** What a client of appliances reads at once: one TLS record, which holds one of ours (spec 5.2). */
const MAX_CONTENT = 16_384 - RECORD_HEADER_LENGTH;

/** Content of any length in as many records as it takes. */
export function renderRecords(content: Uint8Array): Uint8Array[] {
  const records: Uint8Array[] = [];
  for (let at = 0; at < content.length; at += MAX_CONTENT) records.push(renderRecord(content.subarray(at, at + MAX_CONTENT)));
  return records;
}

export function renderRecord(content: Uint8Array): Uint8Array {
  const length = content.length;
  return new ByteWriter()
    .u8(length & 0xff)
    .u8(length >>> 8)
    .bytes(content)
    .finish();
}

/** A client's first record. A name that is too long is cut. */
export function renderHello(hostname: string): Uint8Array {
  const name = utf8(hostname).subarray(0, MAX_NAME_LENGTH);
  const content = new ByteWriter().bytes(HELLO_START).u8(name.length).u8(0).bytes(name).bytes(HELLO_END).finish();
  return renderRecord(content);
}

/** The name in a hello's content, fit for a terminal. What stands around it is nobody's business, however much it is. Throws {@link PeerMisbehavedError}. */
export function helloName(content: Uint8Array): string {
  const reader = new ByteReader(content);
  reader.bytes(HELLO_START.length, 'hello start');
  const length = reader.u8('hello name length') | (reader.u8('hello name length') << 8);
  if (length > MAX_NAME_LENGTH) throw new PeerMisbehavedError(`the hello's name has more than ${MAX_NAME_LENGTH} bytes`);
  return printable(fromUtf8(reader.bytes(length, 'hello name')));
}
