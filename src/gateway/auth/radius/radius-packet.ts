/**
 * RADIUS packets: one datagram each, authenticated by a secret that both ends share.
 *
 * Read first: RFC 2865 §3 and §5, RFC 2866 §3, RFC 2869 §5.14 (Message-Authenticator), RFC 3579 §3.2.
 *
 *   +------+----+--------+---------------------+------------------------
 *   | code | id | length | authenticator (16)  | type  length  value …
 *   +------+----+--------+---------------------+------------------------
 */
import { createHash, createHmac } from 'node:crypto';
import { equalInConstantTime } from '../../../core/crypto/constant-time.ts';
import { MisuseError, PeerMisbehavedError } from '../../../core/errors.ts';
import { ByteReader } from '../../../core/wire/byte-reader.ts';
import { ByteWriter } from '../../../core/wire/byte-writer.ts';

export const RADIUS_CODES = {
  accessRequest: 1,
  accessAccept: 2,
  accessReject: 3,
  accountingRequest: 4,
  accountingResponse: 5,
  accessChallenge: 11,
} as const;

export const AUTHENTICATOR_LENGTH = 16;
const HEADER_LENGTH = 20;
/** RFC 2865 §3. */
export const MAX_PACKET_LENGTH = 4096;
export const MAX_VALUE_LENGTH = 253;
const MESSAGE_AUTHENTICATOR = 80;
const MESSAGE_AUTHENTICATOR_LENGTH = 16;
/** RFC 2865 §5.2. */
const PASSWORD_BLOCK = 16;
export const MAX_PASSWORD_LENGTH = 128;

export interface RadiusAttribute {
  readonly type: number;
  readonly value: Uint8Array;
}

export interface RadiusPacket {
  readonly code: number;
  readonly id: number;
  readonly authenticator: Uint8Array;
  readonly attributes: readonly RadiusAttribute[];
}

/** Parses a datagram. Throws {@link PeerMisbehavedError} if it is not RADIUS. Bytes behind its length are padding and ignored. */
export function decodeRadius(datagram: Uint8Array): RadiusPacket {
  const reader = new ByteReader(datagram);
  const code = reader.u8('RADIUS code');
  const id = reader.u8('RADIUS identifier');
  const length = reader.u16('RADIUS length');
  if (length < HEADER_LENGTH || length > MAX_PACKET_LENGTH)
    throw new PeerMisbehavedError(`RADIUS length is ${length}, not ${HEADER_LENGTH} to ${MAX_PACKET_LENGTH}`);
  const authenticator = reader.bytes(AUTHENTICATOR_LENGTH, 'RADIUS authenticator');
  const body = new ByteReader(reader.bytes(length - HEADER_LENGTH, 'RADIUS attributes'));
  const attributes: RadiusAttribute[] = [];
  while (body.remaining > 0) {
    const type = body.u8('RADIUS attribute type');
    const attributeLength = body.u8('RADIUS attribute length');
    if (attributeLength < 2) throw new PeerMisbehavedError(`RADIUS attribute ${type} has length ${attributeLength}, less than its header`);
    attributes.push({ type, value: body.bytes(attributeLength - 2, `RADIUS attribute ${type}`) });
  }
  return { code, id, authenticator, attributes };
}

/** The bytes of a packet as it is. Throws {@link MisuseError} for what does not fit. */
export function encodeRadius({ code, id, authenticator, attributes }: RadiusPacket): Uint8Array {
  const writer = new ByteWriter().u8(code).u8(id);
  const body = new ByteWriter();
  for (const { type, value } of attributes) {
    if (value.length > MAX_VALUE_LENGTH) throw new MisuseError(`RADIUS attribute ${type} is longer than ${MAX_VALUE_LENGTH} bytes`);
    body
      .u8(type)
      .u8(value.length + 2)
      .bytes(value);
  }
  if (body.length + HEADER_LENGTH > MAX_PACKET_LENGTH)
    throw new MisuseError(`a RADIUS packet cannot be longer than ${MAX_PACKET_LENGTH} bytes`);
  return writer
    .u16(body.length + HEADER_LENGTH)
    .bytes(authenticator)
    .bytes(body.finish())
    .finish();
}

/** An Access-Request with its Message-Authenticator, which comes first (CVE-2024-3596: nothing before it can be made to collide). */
export function sealAccessRequest(
  id: number,
  authenticator: Uint8Array,
  attributes: readonly RadiusAttribute[],
  secret: Uint8Array,
): Uint8Array {
  return withMessageAuthenticator({ code: RADIUS_CODES.accessRequest, id, authenticator, attributes }, authenticator, secret);
}

/** RFC 2866 §3: the authenticator is made of the whole request and the secret. */
export function sealAccountingRequest(id: number, attributes: readonly RadiusAttribute[], secret: Uint8Array): Uint8Array {
  const zero = new Uint8Array(AUTHENTICATOR_LENGTH);
  const bytes = encodeRadius({ code: RADIUS_CODES.accountingRequest, id, authenticator: zero, attributes });
  bytes.set(createHash('md5').update(bytes).update(secret).digest(), 4);
  return bytes;
}

/** An answer as a server makes it, for tests and fakes. */
export function sealResponse(
  packet: Omit<RadiusPacket, 'authenticator'>,
  requestAuthenticator: Uint8Array,
  secret: Uint8Array,
): Uint8Array {
  const bytes = withMessageAuthenticator({ ...packet, authenticator: requestAuthenticator }, requestAuthenticator, secret);
  bytes.set(createHash('md5').update(bytes).update(secret).digest(), 4);
  return bytes;
}

function withMessageAuthenticator(packet: RadiusPacket, authenticator: Uint8Array, secret: Uint8Array): Uint8Array {
  const empty = { type: MESSAGE_AUTHENTICATOR, value: new Uint8Array(MESSAGE_AUTHENTICATOR_LENGTH) };
  const bytes = encodeRadius({ ...packet, authenticator, attributes: [empty, ...packet.attributes] });
  bytes.set(createHmac('md5', secret).update(bytes).digest(), HEADER_LENGTH + 2);
  return bytes;
}

/**
 * Whether an answer is from who knows the secret, to this request. `unsigned`: by MD5 alone, without Message-Authenticator, which can be forged by
 * who sees the request (CVE-2024-3596).
 */
export function verifyResponse(
  datagram: Uint8Array,
  packet: RadiusPacket,
  { authenticator, secret }: { readonly authenticator: Uint8Array; readonly secret: Uint8Array },
): 'signed' | 'unsigned' | 'false' {
  const bytes = encodeRadius({ ...packet, authenticator }); // without padding
  if (bytes.length > datagram.length) return 'false';
  const expected = createHash('md5').update(bytes).update(secret).digest();
  if (!equalInConstantTime(expected, packet.authenticator)) return 'false';
  const messages = packet.attributes.filter(({ type }) => type === MESSAGE_AUTHENTICATOR);
  const [message] = messages;
  if (message === undefined) return 'unsigned';
  if (messages.length > 1 || message.value.length !== MESSAGE_AUTHENTICATOR_LENGTH) return 'false';
  const blanked = packet.attributes.map((attribute) =>
    attribute === message ? { type: MESSAGE_AUTHENTICATOR, value: new Uint8Array(MESSAGE_AUTHENTICATOR_LENGTH) } : attribute,
  );
  const signed = createHmac('md5', secret)
    .update(encodeRadius({ ...packet, authenticator, attributes: blanked }))
    .digest();
  return equalInConstantTime(signed, message.value) ? 'signed' : 'false';
}

/** RFC 2865 §5.2: the password under a stream made of the secret. Throws {@link MisuseError} for one that is too long. */
export function hidePassword(password: Uint8Array, authenticator: Uint8Array, secret: Uint8Array): Uint8Array {
  if (password.length > MAX_PASSWORD_LENGTH) throw new MisuseError(`RADIUS takes passwords of ${MAX_PASSWORD_LENGTH} bytes at most`);
  const hidden = new Uint8Array(Math.max(1, Math.ceil(password.length / PASSWORD_BLOCK)) * PASSWORD_BLOCK);
  hidden.set(password);
  let before = authenticator;
  for (let at = 0; at < hidden.length; at += PASSWORD_BLOCK) {
    const stream = createHash('md5').update(secret).update(before).digest();
    const block = hidden.subarray(at, at + PASSWORD_BLOCK);
    for (let i = 0; i < PASSWORD_BLOCK; i++) block[i] = (block[i] ?? 0) ^ (stream[i] ?? 0);
    before = block;
  }
  return hidden;
}
