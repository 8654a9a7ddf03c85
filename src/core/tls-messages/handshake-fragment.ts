/**
 * DTLS handshake messages as they travel: each has a number, and may come in fragments.
 *
 * Read first: RFC 6347 §4.2.2, §4.2.3.
 *
 *   0      1          4             6                 9                 12
 *   +------+----------+-------------+-----------------+-----------------+----------
 *   | type | length   | message_seq | fragment_offset | fragment_length | fragment…
 *   +------+----------+-------------+-----------------+-----------------+----------
 */
import { PeerMisbehavedError } from '../errors.ts';
import type { ByteReader } from '../wire/byte-reader.ts';
import { ByteWriter } from '../wire/byte-writer.ts';

export const FRAGMENT_HEADER_LENGTH = 12;

export interface HandshakeFragment {
  readonly type: number;
  /** Of the whole message's body. */
  readonly length: number;
  readonly sequence: number;
  readonly offset: number;
  readonly data: Uint8Array;
}

/** A whole message. */
export interface HandshakeMessage {
  readonly type: number;
  readonly sequence: number;
  readonly body: Uint8Array;
}

/** Reads one fragment; a record may hold several. Throws {@link PeerMisbehavedError} if it is cut short or reaches beyond its message. */
export function decodeHandshakeFragment(reader: ByteReader): HandshakeFragment {
  const type = reader.u8('handshake type');
  const length = reader.u24('handshake length');
  const sequence = reader.u16('message_seq');
  const offset = reader.u24('fragment_offset');
  const data = reader.bytes(reader.u24('fragment_length'), 'handshake fragment');
  if (offset + data.length > length) {
    throw new PeerMisbehavedError(`handshake fragment ends at ${offset + data.length}, behind its message of ${length} bytes`);
  }
  return { type, length, sequence, offset, data };
}

export function encodeHandshakeFragment(fragment: HandshakeFragment): Uint8Array {
  return new ByteWriter()
    .u8(fragment.type)
    .u24(fragment.length)
    .u16(fragment.sequence)
    .u24(fragment.offset)
    .prefixed(3, (writer) => writer.bytes(fragment.data))
    .finish();
}

/** A message as one fragment: the form that the transcript takes, however it travelled (RFC 6347 §4.2.6). */
export function encodeHandshakeMessage(message: HandshakeMessage): Uint8Array {
  return encodeHandshakeFragment({ ...message, length: message.body.length, offset: 0, data: message.body });
}
