/** A gateway's cookie of 256 bits as it goes on the wire, hexadecimal, which no client spoils, and back. What several vendors have in common; a dialogue's id is of the same kind. */
import { Secret } from '../secret.ts';
import { fromBase64, fromHex, toBase64, toHex } from '../wire/text.ts';

export function cookieOnWire(cookie: Secret): string {
  return toHex(fromBase64(cookie.reveal()));
}

/** Undefined for what is none. */
export function cookieOffWire(value: string): Secret | undefined {
  return /^[0-9a-f]{64}$/.test(value) ? new Secret(toBase64(fromHex(value))) : undefined;
}
