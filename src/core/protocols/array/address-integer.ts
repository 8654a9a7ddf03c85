/**
 * IPv4 addresses as Array writes them in JSON: integers whose little-endian bytes are the address. Signed ones mean the same.
 *
 * Read first: spec "Array", sections 4.3 and 10.
 */
import type { IpAddress } from '../../wire/ip-address.ts';

const MIN = -0x8000_0000;
const MAX = 0xffff_ffff;

/** The address as text; undefined for what is no such integer. */
export function addressOfInteger(value: unknown): string | undefined {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < MIN || value > MAX) return undefined;
  return [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff).join('.');
}

/** @param address of IPv4 */
export function integerOfAddress({ bytes }: IpAddress): number {
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  return a + 0x100 * b + 0x1_0000 * c + 0x100_0000 * d;
}
