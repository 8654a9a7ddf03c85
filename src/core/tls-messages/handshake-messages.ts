/**
 * Handshake message bodies of TLS 1.0 to 1.2 as DTLS carries them, both ways. The header in front of them is DTLS's: `handshake-fragment.ts`.
 *
 * Read first: RFC 5246 §7.4, RFC 6347 §4.3.2 (cookie, HelloVerifyRequest), RFC 4279 §2 (PSK messages).
 */
import { PeerMisbehavedError } from '../errors.ts';
import { ByteReader } from '../wire/byte-reader.ts';
import { ByteWriter } from '../wire/byte-writer.ts';
import { decodeExtensions, type Extension, encodeExtensions } from './extensions.ts';

export const HANDSHAKE_TYPES = {
  helloRequest: 0,
  clientHello: 1,
  serverHello: 2,
  helloVerifyRequest: 3,
  newSessionTicket: 4,
  certificate: 11,
  serverKeyExchange: 12,
  certificateRequest: 13,
  serverHelloDone: 14,
  certificateVerify: 15,
  clientKeyExchange: 16,
  finished: 20,
} as const;

export type HandshakeType = keyof typeof HANDSHAKE_TYPES;

const NAME_OF_TYPE: ReadonlyMap<number, string> = new Map(Object.entries(HANDSHAKE_TYPES).map(([name, type]) => [type, name]));

/** A message type in words, for error messages. */
export function handshakeTypeName(type: number): string {
  return NAME_OF_TYPE.get(type) ?? `handshake message ${type}`;
}

export const RANDOM_LENGTH = 32;
export const MAX_SESSION_ID_LENGTH = 32;
export const VERIFY_DATA_LENGTH = 12;

/** RFC 4279 §5.3 obliges us to take identities of 128 bytes; more than this nobody sends. */
export const MAX_PSK_IDENTITY_LENGTH = 1024;

/** How many suites one hello may offer: the registry has some 350. */
const MAX_SUITES = 1024;

const NULL_COMPRESSION = 0;

export interface ClientHello {
  readonly version: number;
  readonly random: Uint8Array;
  readonly sessionId: Uint8Array;
  readonly cookie: Uint8Array;
  readonly suites: readonly number[];
  readonly extensions: readonly Extension[];
}

/** Throws {@link PeerMisbehavedError} for a malformed hello, and for one that does not offer to leave compression out. */
export function decodeClientHello(body: Uint8Array): ClientHello {
  const reader = new ByteReader(body);
  const version = reader.u16('client version');
  const random = reader.bytes(RANDOM_LENGTH, 'client random');
  const sessionId = decodeSessionId(reader);
  const cookie = reader.bytes(reader.u8('cookie length'), 'cookie');
  const suiteBytes = new ByteReader(reader.bytes(reader.u16('cipher suites length'), 'cipher suites'));
  const count = suiteBytes.remaining / 2;
  if (!Number.isInteger(count) || count < 1 || count > MAX_SUITES) {
    throw new PeerMisbehavedError(`cipher suites: expected 2 to ${2 * MAX_SUITES} bytes in pairs, got ${suiteBytes.remaining}`);
  }
  const suites = Array.from({ length: count }, () => suiteBytes.u16('cipher suite'));
  const compressions = reader.bytes(reader.u8('compression methods length'), 'compression methods');
  if (!compressions.includes(NULL_COMPRESSION)) throw new PeerMisbehavedError('the hello does not offer null compression');
  const extensions = decodeExtensions(reader);
  requireEnd(reader, 'ClientHello');
  return { version, random, sessionId, cookie, suites, extensions };
}

export function encodeClientHello(hello: ClientHello): Uint8Array {
  const writer = new ByteWriter().u16(hello.version).bytes(hello.random);
  writer.prefixed(1, (part) => part.bytes(hello.sessionId));
  writer.prefixed(1, (part) => part.bytes(hello.cookie));
  writer.prefixed(2, (part) => {
    for (const suite of hello.suites) part.u16(suite);
  });
  writer.prefixed(1, (part) => part.u8(NULL_COMPRESSION));
  encodeExtensions(writer, hello.extensions);
  return writer.finish();
}

export interface ServerHello {
  readonly version: number;
  readonly random: Uint8Array;
  readonly sessionId: Uint8Array;
  readonly suite: number;
  readonly extensions: readonly Extension[];
}

export function decodeServerHello(body: Uint8Array): ServerHello {
  const reader = new ByteReader(body);
  const version = reader.u16('server version');
  const random = reader.bytes(RANDOM_LENGTH, 'server random');
  const sessionId = decodeSessionId(reader);
  const suite = reader.u16('cipher suite');
  const compression = reader.u8('compression method');
  if (compression !== NULL_COMPRESSION) throw new PeerMisbehavedError(`compression method ${compression} was not offered`);
  const extensions = decodeExtensions(reader);
  requireEnd(reader, 'ServerHello');
  return { version, random, sessionId, suite, extensions };
}

export function encodeServerHello(hello: ServerHello): Uint8Array {
  const writer = new ByteWriter().u16(hello.version).bytes(hello.random);
  writer.prefixed(1, (part) => part.bytes(hello.sessionId));
  writer.u16(hello.suite).u8(NULL_COMPRESSION);
  encodeExtensions(writer, hello.extensions);
  return writer.finish();
}

export interface HelloVerifyRequest {
  readonly version: number;
  readonly cookie: Uint8Array;
}

export function decodeHelloVerifyRequest(body: Uint8Array): HelloVerifyRequest {
  const reader = new ByteReader(body);
  const version = reader.u16('HelloVerifyRequest version');
  const cookie = reader.bytes(reader.u8('cookie length'), 'cookie');
  requireEnd(reader, 'HelloVerifyRequest');
  return { version, cookie };
}

export function encodeHelloVerifyRequest(request: HelloVerifyRequest): Uint8Array {
  return new ByteWriter()
    .u16(request.version)
    .prefixed(1, (part) => part.bytes(request.cookie))
    .finish();
}

/** RFC 4279 §2: with plain PSK, ServerKeyExchange is a hint at which key to take, and nothing else. */
export function decodePskIdentityHint(body: Uint8Array): Uint8Array {
  return decodeIdentity(body, 'PSK identity hint');
}

export function encodePskIdentityHint(hint: Uint8Array): Uint8Array {
  return encodeIdentity(hint);
}

/** RFC 4279 §2: with plain PSK, ClientKeyExchange is the identity of the key. */
export function decodePskClientKeyExchange(body: Uint8Array): Uint8Array {
  return decodeIdentity(body, 'PSK identity');
}

export function encodePskClientKeyExchange(identity: Uint8Array): Uint8Array {
  return encodeIdentity(identity);
}

/** A message without content. Throws {@link PeerMisbehavedError} if it has some. */
export function decodeServerHelloDone(body: Uint8Array): void {
  requireEnd(new ByteReader(body), 'ServerHelloDone');
}

/** Finished is its verify_data. */
export function decodeFinished(body: Uint8Array): Uint8Array {
  if (body.length !== VERIFY_DATA_LENGTH)
    throw new PeerMisbehavedError(`Finished: expected ${VERIFY_DATA_LENGTH} bytes, got ${body.length}`);
  return body;
}

function decodeSessionId(reader: ByteReader): Uint8Array {
  const length = reader.u8('session id length');
  if (length > MAX_SESSION_ID_LENGTH)
    throw new PeerMisbehavedError(`session id length: expected up to ${MAX_SESSION_ID_LENGTH}, got ${length}`);
  return reader.bytes(length, 'session id');
}

function decodeIdentity(body: Uint8Array, field: string): Uint8Array {
  const reader = new ByteReader(body);
  const length = reader.u16(`${field} length`);
  if (length > MAX_PSK_IDENTITY_LENGTH)
    throw new PeerMisbehavedError(`${field}: expected up to ${MAX_PSK_IDENTITY_LENGTH} bytes, got ${length}`);
  const identity = reader.bytes(length, field);
  requireEnd(reader, field);
  return identity;
}

function encodeIdentity(identity: Uint8Array): Uint8Array {
  return new ByteWriter().prefixed(2, (part) => part.bytes(identity)).finish();
}

function requireEnd(reader: ByteReader, what: string): void {
  if (reader.remaining > 0) throw new PeerMisbehavedError(`${what}: ${reader.remaining} bytes too many`);
}
