/**
 * The payloads of a Pulse connection's opening and of its log-in.
 *
 * Read first: spec "Pulse", section 4.
 */
import { PeerMisbehavedError } from '../../errors.ts';
import { ByteReader } from '../../wire/byte-reader.ts';
import { ByteWriter } from '../../wire/byte-writer.ts';
import { fromUtf8, utf8 } from '../../wire/text.ts';
import { decodeEap, type EapPacket, encodeEap } from './eap.ts';

/** `Juniper/1`, the one way of authentication: in front of each EAP packet. */
const AUTH_TYPE = 0x0a4c01;

const MIN_VERSION = 1;
/** HMAC-SHA-256 is offered to who takes this one. */
const MAX_VERSION = 2;

/** Everybody's identity. */
export const IDENTITY: Uint8Array = utf8('anonymous');

export const VERSION_REQUEST: Uint8Array = Uint8Array.of(0, MIN_VERSION, MAX_VERSION, MAX_VERSION);

/** The version for a client's request: the highest that both speak. Throws {@link PeerMisbehavedError} where there is none. */
export function agreedVersion(request: Uint8Array): number {
  const reader = new ByteReader(request);
  reader.u8('version request');
  const min = reader.u8('lowest version');
  const max = reader.u8('highest version');
  const version = Math.min(max, MAX_VERSION);
  if (version < Math.max(min, MIN_VERSION)) throw new PeerMisbehavedError(`IF-T versions: expected 1 or 2, got ${min} to ${max}`);
  return version;
}

export function versionResponse(version: number): Uint8Array {
  return Uint8Array.of(0, 0, 0, version);
}

/** Throws {@link PeerMisbehavedError} for a version that is not spoken. */
export function checkVersionResponse(payload: Uint8Array): void {
  const version = new ByteReader(payload).u32('version response');
  if (payload.length !== 4 || version < MIN_VERSION || version > MAX_VERSION) {
    throw new PeerMisbehavedError(`IF-T version: expected 1 or 2, got ${version}`);
  }
}

/** Without a packet: the challenge that starts the log-in. */
export function encodeAuth(packet?: EapPacket): Uint8Array {
  return new ByteWriter()
    .u32(AUTH_TYPE)
    .bytes(packet === undefined ? new Uint8Array(0) : encodeEap(packet))
    .finish();
}

/** Undefined: the challenge that starts the log-in. Throws {@link PeerMisbehavedError} for another way of authentication. */
export function decodeAuth(payload: Uint8Array): EapPacket | undefined {
  const reader = new ByteReader(payload);
  const type = reader.u32('IF-T auth type');
  if (type !== AUTH_TYPE) throw new PeerMisbehavedError(`IF-T auth type: expected ${AUTH_TYPE}, got ${type}`);
  return reader.remaining === 0 ? undefined : decodeEap(reader.rest());
}

/** What a client says of itself before it has logged in: nobody has checked it. */
export interface ClientInformation {
  readonly hostname?: string;
  readonly address?: string;
}

export function renderClientInformation({ hostname, address }: ClientInformation): Uint8Array {
  const words = [
    ...(hostname === undefined ? [] : [`clientHostName=${hostname}`]),
    ...(address === undefined ? [] : [`clientIp=${address}`]),
  ];
  return utf8(`${words.join(' ')}\n\0`);
}

export function parseClientInformation(payload: Uint8Array): ClientInformation {
  const text = fromUtf8(payload);
  const hostname = /(?:^| )clientHostName=([^\s\0]+)/.exec(text)?.[1];
  const address = /(?:^| )clientIp=([^\s\0]+)/.exec(text)?.[1];
  return { ...(hostname !== undefined && { hostname }), ...(address !== undefined && { address }) };
}
