/**
 * The password method inside a Pulse conversation: "Juniper/2".
 *
 * Read first: spec "Pulse", section 6.4.
 *
 *   code | type, length (with these two bytes), value | …
 */
import { PeerMisbehavedError } from '../../errors.ts';
import { ByteReader } from '../../wire/byte-reader.ts';
import { ByteWriter } from '../../wire/byte-writer.ts';
import { fromUtf8, utf8 } from '../../wire/text.ts';

const REQUESTS = { ask: 0x01, again: 0x81, change: 0x43, failed: 0xc5 } as const;
const RESPONSE = 0x02;
const ITEMS = { text: 0x01, password: 0x02, newPassword: 0x03 } as const;

/** Bytes of an item's value. */
export const MAX_PASSWORD_BYTES = 253;

/** `again`: the last one was wrong. `change`: it has expired, and a new one is wanted. */
export type PasswordRequest = { readonly type: 'ask' | 'again' | 'change' } | { readonly type: 'failed'; readonly text: string };

export interface PasswordResponse {
  /** Empty where only a name was asked for. */
  readonly password: string;
  readonly newPassword?: string;
}

export function encodePasswordRequest(request: PasswordRequest): Uint8Array {
  const writer = new ByteWriter().u8(REQUESTS[request.type]);
  if (request.type === 'failed') writeItem(writer, ITEMS.text, utf8(request.text).subarray(0, MAX_PASSWORD_BYTES));
  return writer.finish();
}

/** Throws {@link PeerMisbehavedError} for what is no request. */
export function decodePasswordRequest(bytes: Uint8Array): PasswordRequest {
  const reader = new ByteReader(bytes);
  const code = reader.u8('password request');
  const type = (Object.keys(REQUESTS) as (keyof typeof REQUESTS)[]).find((name) => REQUESTS[name] === code);
  if (type === undefined) throw new PeerMisbehavedError(`password request ${code} is none`);
  const items = readItems(reader);
  return type === 'failed' ? { type, text: fromUtf8(items.get(ITEMS.text) ?? NO_BYTES) } : { type };
}

export function encodePasswordResponse({ password, newPassword }: PasswordResponse): Uint8Array {
  const writer = new ByteWriter().u8(RESPONSE);
  writeItem(writer, ITEMS.password, utf8(password));
  if (newPassword !== undefined) writeItem(writer, ITEMS.newPassword, utf8(newPassword));
  return writer.finish();
}

/** Throws {@link PeerMisbehavedError} for what is no response. */
export function decodePasswordResponse(bytes: Uint8Array): PasswordResponse {
  const reader = new ByteReader(bytes);
  const code = reader.u8('password response');
  if (code !== RESPONSE) throw new PeerMisbehavedError(`password response: expected ${RESPONSE}, got ${code}`);
  const items = readItems(reader);
  const newPassword = items.get(ITEMS.newPassword);
  return {
    password: fromUtf8(items.get(ITEMS.password) ?? NO_BYTES),
    ...(newPassword !== undefined && { newPassword: fromUtf8(newPassword) }),
  };
}

function writeItem(writer: ByteWriter, type: number, value: Uint8Array): void {
  writer
    .u8(type)
    .u8(2 + value.length)
    .bytes(value);
}

function readItems(reader: ByteReader): Map<number, Uint8Array> {
  const items = new Map<number, Uint8Array>();
  while (reader.remaining > 0) {
    const type = reader.u8('password item');
    const length = reader.u8('length of a password item');
    if (length < 2) throw new PeerMisbehavedError(`length of a password item: expected 2 or more, got ${length}`);
    items.set(type, reader.bytes(length - 2, 'value of a password item'));
  }
  return items;
}

const NO_BYTES = new Uint8Array(0);
