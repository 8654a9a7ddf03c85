/**
 * SOCKS 5, as the server sees it, both ways: greeting, password, request, reply, and the header of relayed datagrams.
 *
 * Read first: RFC 1928; RFC 1929 for the password.
 *
 *   client                         server
 *   05 n methods…            ─►
 *                            ◄─    05 method
 *   01 n name n password     ─►                    only with method 02
 *                            ◄─    01 status
 *   05 command 00 address    ─►
 *                            ◄─    05 reply 00 address
 *   then the bytes of the connection, or (UDP ASSOCIATE) datagrams, each behind   0000 fragment address
 */
import { PeerMisbehavedError } from '../errors.ts';
import { ByteReader } from '../wire/byte-reader.ts';
import { ByteWriter } from '../wire/byte-writer.ts';
import { formatIp, type IpAddress, parseIp } from '../wire/ip-address.ts';
import { hostName } from './host-name.ts';

/** Also the first byte of a connection. */
export const SOCKS5_VERSION = 5;

/** RFC 1928 §3. */
export const SOCKS5_METHODS = { none: 0x00, password: 0x02, unacceptable: 0xff } as const;

/** RFC 1928 §4. */
export const SOCKS5_COMMANDS = { connect: 1, bind: 2, 'udp-associate': 3 } as const;
export type Socks5Command = keyof typeof SOCKS5_COMMANDS;

/** RFC 1928 §6. */
export const SOCKS5_REPLIES = {
  succeeded: 0,
  'general-failure': 1,
  'not-allowed': 2,
  'network-unreachable': 3,
  'host-unreachable': 4,
  refused: 5,
  'ttl-expired': 6,
  'command-unsupported': 7,
  'address-unsupported': 8,
} as const;
export type Socks5Reply = keyof typeof SOCKS5_REPLIES;

/** RFC 1928 §5. */
const ADDRESS_TYPES = { ipv4: 1, name: 3, ipv6: 4 } as const;

/** RFC 1929 §2: the version of the negotiation, not of SOCKS. */
const PASSWORD_VERSION = 1;

/** The longest name that a length of one byte can say. */
const MAX_NAME = 255;

/** Where a client wants to go: a name, or an address as text. */
export interface SocksDestination {
  readonly host: string;
  readonly port: number;
}

export interface Socks5Request {
  readonly command: Socks5Command | 'unknown';
  /** Undefined: an address of a kind that is not known; what follows it cannot be read. */
  readonly destination: SocksDestination | undefined;
}

export interface SocksPassword {
  readonly name: Uint8Array;
  readonly password: Uint8Array;
}

export interface Socks5Datagram {
  readonly destination: SocksDestination;
  readonly payload: Uint8Array;
}

/** The methods that a client offers. Throws {@link TruncatedError} while there is more to come, like the others, and {@link PeerMisbehavedError}. */
export function decodeGreeting(reader: ByteReader): readonly number[] {
  version(reader, SOCKS5_VERSION, 'SOCKS version');
  return [...reader.bytes(reader.u8('count of SOCKS methods'), 'SOCKS methods')];
}

export function encodeGreeting(methods: readonly number[]): Uint8Array {
  return Uint8Array.of(SOCKS5_VERSION, methods.length, ...methods);
}

export function encodeMethod(method: number): Uint8Array {
  return Uint8Array.of(SOCKS5_VERSION, method);
}

/** The views are of the reader's bytes. */
export function decodePassword(reader: ByteReader): SocksPassword {
  version(reader, PASSWORD_VERSION, 'version of the SOCKS password');
  const name = reader.bytes(reader.u8('length of the SOCKS user'), 'SOCKS user');
  const password = reader.bytes(reader.u8('length of the SOCKS password'), 'SOCKS password');
  return { name, password };
}

export function encodePassword({ name, password }: SocksPassword): Uint8Array {
  const writer = new ByteWriter().u8(PASSWORD_VERSION);
  for (const part of [name, password]) writer.prefixed(1, (body) => body.bytes(part));
  return writer.finish();
}

/** RFC 1929 §2: 0 is success, everything else ends the connection. */
export function encodePasswordStatus(isRight: boolean): Uint8Array {
  return Uint8Array.of(PASSWORD_VERSION, isRight ? 0 : 1);
}

export function decodeRequest(reader: ByteReader): Socks5Request {
  version(reader, SOCKS5_VERSION, 'SOCKS version');
  const byte = reader.u8('SOCKS command');
  reader.u8('SOCKS reserved byte');
  const command = COMMAND_OF_BYTE.get(byte) ?? 'unknown'; // RFC 1928 §6: it gets a reply of its own
  return { command, destination: decodeDestination(reader) };
}

export function encodeRequest(command: Socks5Command, destination: SocksDestination): Uint8Array {
  const writer = new ByteWriter().u8(SOCKS5_VERSION).u8(SOCKS5_COMMANDS[command]).u8(0);
  return encodeDestination(writer, destination).finish();
}

/** `bound`: this end of the connection, or where datagrams are to be sent; where there is none, all zeros. */
export function encodeReply(reply: Socks5Reply, bound: SocksDestination = NOWHERE): Uint8Array {
  const writer = new ByteWriter().u8(SOCKS5_VERSION).u8(SOCKS5_REPLIES[reply]).u8(0);
  return encodeDestination(writer, bound).finish();
}

const NOWHERE: SocksDestination = { host: '0.0.0.0', port: 0 };

/**
 * A datagram of the client's with its header; undefined: to be dropped, as it is cut short, a fragment (RFC 1928 §7 lets us), or for an address of
 * an unknown kind. The payload is a view.
 */
export function decodeDatagram(bytes: Uint8Array): Socks5Datagram | undefined {
  const reader = new ByteReader(bytes);
  try {
    reader.u16('SOCKS reserved bytes');
    if (reader.u8('SOCKS fragment') !== 0) return undefined;
    const destination = decodeDestination(reader);
    return destination && { destination, payload: reader.rest() };
  } catch (error) {
    if (error instanceof PeerMisbehavedError) return undefined;
    throw error;
  }
}

/** `from`: who sent it. */
export function encodeDatagram(from: SocksDestination, payload: Uint8Array): Uint8Array {
  return encodeDestination(new ByteWriter().u16(0).u8(0), from).bytes(payload).finish();
}

function decodeDestination(reader: ByteReader): SocksDestination | undefined {
  const type = reader.u8('SOCKS address type');
  const host = decodeHost(reader, type);
  if (host === undefined) return undefined;
  return { host, port: reader.u16('SOCKS port') };
}

function decodeHost(reader: ByteReader, type: number): string | undefined {
  switch (type) {
    case ADDRESS_TYPES.ipv4:
      return formatIp({ family: 4, bytes: reader.bytes(4, 'IPv4 address') });
    case ADDRESS_TYPES.ipv6:
      return formatIp({ family: 6, bytes: reader.bytes(16, 'IPv6 address') });
    case ADDRESS_TYPES.name:
      return hostName(reader.bytes(reader.u8('length of the name'), 'name'));
    default:
      return undefined;
  }
}

function encodeDestination(writer: ByteWriter, { host, port }: SocksDestination): ByteWriter {
  const address = parseIp(host);
  if (address !== undefined) writer.u8(typeOf(address)).bytes(address.bytes);
  else writer.u8(ADDRESS_TYPES.name).prefixed(1, (body) => body.bytes(new TextEncoder().encode(host).subarray(0, MAX_NAME)));
  return writer.u16(port);
}

function typeOf({ family }: IpAddress): number {
  return family === 4 ? ADDRESS_TYPES.ipv4 : ADDRESS_TYPES.ipv6;
}

function version(reader: ByteReader, wanted: number, field: string): void {
  const got = reader.u8(field);
  if (got !== wanted) throw new PeerMisbehavedError(`${field}: expected ${wanted}, got ${got}`);
}

const COMMAND_OF_BYTE: ReadonlyMap<number, Socks5Command> = new Map(
  Object.entries(SOCKS5_COMMANDS).map(([name, byte]) => [byte, name as Socks5Command]), // its own keys
);
