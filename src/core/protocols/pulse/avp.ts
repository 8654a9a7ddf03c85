/**
 * AVPs: the words of a Pulse conversation (RFC 6733 §4.1 has the same form).
 *
 * Read first: spec "Pulse", sections 5.2 and 5.3.
 *
 *   code, be32 | flags | length, be24 | [vendor, be32] | data | zeros up to a multiple of 4, which the length does not count
 */
import { PeerMisbehavedError } from '../../errors.ts';
import { checkHttpLimit } from '../../http/limits.ts';
import { ByteReader } from '../../wire/byte-reader.ts';
import { ByteWriter } from '../../wire/byte-writer.ts';
import { fromUtf8, utf8 } from '../../wire/text.ts';
import { type EapPacket, encodeEap } from './eap.ts';

/** Of the vendor, but for the EAP message. */
export const AVP_CODES = {
  eapMessage: 79,
  featureLevel: 0x0d49,
  serverInformation: 0x0d4a,
  realmOffered: 0x0d4e,
  realmWanted: 0x0d4f,
  realm: 0x0d50,
  cookie: 0x0d53,
  certificateDigest: 0x0d55,
  serverId: 0x0d56,
  failure: 0x0d60,
  existingSession: 0x0d65,
  existingSessionId: 0x0d66,
  existingSessionAddress: 0x0d67,
  existingSessionStart: 0x0d68,
  sessionToEnd: 0x0d69,
  username: 0x0d6d,
  userAgent: 0x0d70,
  secondaryMode: 0x0d73,
  notice: 0x0d7b,
  noticeAccepted: 0x0d7c,
  usernameLabel: 0x0d80,
  passwordLabel: 0x0d81,
  secondUsernameLabel: 0x0d82,
  secondPasswordLabel: 0x0d83,
} as const;

/** Spec 5.2: `VENDOR_JUNIPER2`. */
const VENDOR = 0x0583;
const HAS_VENDOR = 0x80;
const IS_MANDATORY = 0x40;

/** Of one list: a gateway offers a few dozen realms at most. */
const MAX_AVPS = 256;

export interface Avp {
  readonly code: number;
  readonly data: Uint8Array;
}

export function textAvp(code: number, text: string): Avp {
  return { code, data: utf8(text) };
}

export function numberAvp(code: number, value: number): Avp {
  return { code, data: new ByteWriter().u32(value).finish() };
}

export function eapAvp(packet: EapPacket): Avp {
  return { code: AVP_CODES.eapMessage, data: encodeEap(packet) };
}

export function textOf({ data }: Avp): string {
  return fromUtf8(data);
}

/** Throws {@link PeerMisbehavedError} for what has another length. */
export function numberOf({ data }: Avp): number {
  if (data.length !== 4) throw new PeerMisbehavedError(`AVP number: expected 4 bytes, got ${data.length}`);
  return new ByteReader(data).u32('AVP number');
}

/** Spec 5.2: the vendor's own AVPs are never mandatory, or clients would fail on those that they do not know. */
export function encodeAvps(avps: readonly Avp[]): Uint8Array {
  const writer = new ByteWriter();
  for (const { code, data } of avps) {
    writer.u32(code);
    if (code === AVP_CODES.eapMessage) writer.u8(IS_MANDATORY).u24(8 + data.length);
    else
      writer
        .u8(HAS_VENDOR)
        .u24(12 + data.length)
        .u32(VENDOR);
    writer.bytes(data).bytes(new Uint8Array(-data.length & 3));
  }
  return writer.finish();
}

/** AVPs of other vendors are left out, unless they are mandatory. Throws {@link PeerMisbehavedError} for those, and for what is no list. */
export function decodeAvps(bytes: Uint8Array): Avp[] {
  const reader = new ByteReader(bytes);
  const avps: Avp[] = [];
  for (let count = 1; reader.remaining > 0; count++) {
    checkHttpLimit(count, MAX_AVPS, 'AVPs');
    const code = reader.u32('AVP code');
    const flags = reader.u8('AVP flags');
    const length = reader.u24('AVP length');
    const hasVendor = (flags & HAS_VENDOR) !== 0;
    const headerLength = hasVendor ? 12 : 8;
    if (length < headerLength) throw new PeerMisbehavedError(`AVP length: expected ${headerLength} or more, got ${length}`);
    const vendor = hasVendor ? reader.u32('AVP vendor') : undefined;
    const data = reader.bytes(length - headerLength, 'AVP data');
    reader.bytes(Math.min(-length & 3, reader.remaining), 'AVP padding');
    const isKnown = vendor === VENDOR || (vendor === undefined && code === AVP_CODES.eapMessage);
    if (isKnown) avps.push({ code, data });
    else if ((flags & IS_MANDATORY) !== 0) throw new PeerMisbehavedError(`AVP ${code} is mandatory, and nobody knows it`);
  }
  return avps;
}
