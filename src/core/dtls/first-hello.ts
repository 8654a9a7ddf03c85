/**
 * A hello looked at before there is an association: whose is it? For a gateway where all clients share one UDP port.
 *
 * Read first: spec "AnyConnect", section 7.8. A gateway answers no hello whose id it does not know: nobody learns anything, nothing is amplified.
 */
import { SallyportError } from '../errors.ts';
import { openconnectAppIdOf } from '../tls-messages/extensions.ts';
import { decodeHandshakeFragment } from '../tls-messages/handshake-fragment.ts';
import { type ClientHello, decodeClientHello, HANDSHAKE_TYPES } from '../tls-messages/handshake-messages.ts';
import { ByteReader } from '../wire/byte-reader.ts';
import { CONTENT_TYPES, RECORD_HEADER_LENGTH, readU16 } from './record.ts';

/** The ClientHello that a datagram begins with; undefined if it begins with anything else, or with a part of one. */
export function readFirstHello(datagram: Uint8Array): ClientHello | undefined {
  const isPlainHandshake = datagram[0] === CONTENT_TYPES.handshake && readU16(datagram, 3) === 0;
  const end = RECORD_HEADER_LENGTH + readU16(datagram, 11);
  if (!isPlainHandshake || datagram.length < end) return undefined;
  try {
    const fragment = decodeHandshakeFragment(new ByteReader(datagram.subarray(RECORD_HEADER_LENGTH, end)));
    if (fragment.type !== HANDSHAKE_TYPES.clientHello || fragment.data.length !== fragment.length) return undefined;
    const hello = decodeClientHello(fragment.data);
    return isUsable(hello) ? hello : undefined;
  } catch (error) {
    if (error instanceof SallyportError) return undefined; // from anyone at all: not worth more than being dropped
    throw error;
  }
}

/** The id by which the client says whose association this is: the extension where there is one, else session_id. Throws as decoders do. */
export function associationId(hello: ClientHello): Uint8Array {
  return openconnectAppIdOf(hello.extensions) ?? hello.sessionId;
}

/** Spec 7.8: hellos with an all-zero random come from a GnuTLS whose keys can be foretold. */
export function isUsable(hello: ClientHello): boolean {
  return hello.random.some((byte) => byte !== 0);
}
