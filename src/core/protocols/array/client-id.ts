/**
 * The id by which a gateway knows a client again: 128 random bits in the form of a UUID, without a UUID's version.
 *
 * Read first: spec "Array", sections 3 and 10.
 */
import { toHex } from '../../wire/text.ts';

/** @param random 16 bytes that nobody can guess */
export function renderClientId(random: Uint8Array): string {
  const hex = toHex(random).toUpperCase();
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** Whether a client may call itself this: whatever bits it has, as those of appliances' own clients are not known. */
export function isClientId(text: string): boolean {
  return /^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$/.test(text);
}
