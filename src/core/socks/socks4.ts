/**
 * SOCKS 4 and 4A, as the server sees it, both ways.
 *
 * Read first: "SOCKS: A protocol for TCP proxy across firewalls" and "SOCKS 4A: A simple extension to SOCKS 4 protocol" (Ying-Da Lee); neither is an RFC.
 *
 *   04 command port address user 00              the address: IPv4
 *   04 command port 00 00 00 x user 00 name 00   4A: x is not 0, and the server looks the name up
 *                                          ◄─    00 code port address
 */
import { PeerMisbehavedError, TruncatedError } from '../errors.ts';
import type { ByteReader } from '../wire/byte-reader.ts';
import { ByteWriter } from '../wire/byte-writer.ts';
import { formatIp, parseIp } from '../wire/ip-address.ts';
import { hostName, MAX_HOST_NAME } from './host-name.ts';
import type { SocksDestination } from './socks5.ts';

/** Also the first byte of a connection. */
export const SOCKS4_VERSION = 4;

export const SOCKS4_COMMANDS = { connect: 1, bind: 2 } as const;
export type Socks4Command = keyof typeof SOCKS4_COMMANDS;

/** 92 and 93 are about identd, which nobody asks any more. */
export const SOCKS4_CODES = { granted: 90, refused: 91 } as const;

/** Of the user's name, which we do not use: there is no password with it. */
const MAX_USER = 255;

const NOT_AN_ADDRESS = [0, 0, 0] as const;

export interface Socks4Request {
  readonly command: Socks4Command | 'unknown';
  readonly destination: SocksDestination;
}

/** Throws {@link TruncatedError} while there is more to come, and {@link PeerMisbehavedError}. */
export function decodeSocks4Request(reader: ByteReader): Socks4Request {
  const version = reader.u8('SOCKS version');
  if (version !== SOCKS4_VERSION) throw new PeerMisbehavedError(`SOCKS version: expected ${SOCKS4_VERSION}, got ${version}`);
  const byte = reader.u8('SOCKS command');
  const command = byte === SOCKS4_COMMANDS.connect ? 'connect' : byte === SOCKS4_COMMANDS.bind ? 'bind' : 'unknown';
  const port = reader.u16('SOCKS port');
  const address = reader.bytes(4, 'IPv4 address');
  textUntilNul(reader, MAX_USER, 'SOCKS user');
  const isName = NOT_AN_ADDRESS.every((zero, i) => address[i] === zero) && address[3] !== 0;
  const host = isName ? hostName(textUntilNul(reader, MAX_HOST_NAME, 'name')) : formatIp({ family: 4, bytes: address });
  return { command, destination: { host, port } };
}

/** A name makes it a request of 4A. */
export function encodeSocks4Request(command: Socks4Command, { host, port }: SocksDestination): Uint8Array {
  const address = parseIp(host);
  const writer = new ByteWriter().u8(SOCKS4_VERSION).u8(SOCKS4_COMMANDS[command]).u16(port);
  writer.bytes(address?.bytes ?? Uint8Array.of(...NOT_AN_ADDRESS, 1)).u8(0);
  if (address === undefined) writer.bytes(new TextEncoder().encode(host)).u8(0);
  return writer.finish();
}

/** The address means something after BIND only: all zeros. */
export function encodeSocks4Reply(isGranted: boolean): Uint8Array {
  return Uint8Array.of(0, isGranted ? SOCKS4_CODES.granted : SOCKS4_CODES.refused, 0, 0, 0, 0, 0, 0);
}

function textUntilNul(reader: ByteReader, most: number, field: string): Uint8Array {
  const text: number[] = [];
  for (;;) {
    if (reader.remaining === 0) throw new TruncatedError(`${field}: its end is not there yet`);
    const byte = reader.u8(field);
    if (byte === 0) return Uint8Array.from(text);
    if (text.length === most) throw new PeerMisbehavedError(`${field}: longer than ${most} bytes`);
    text.push(byte);
  }
}
