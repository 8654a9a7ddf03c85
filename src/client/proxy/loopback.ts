/** Addresses that only this machine reaches. */
import { parseIp } from '../../core/wire/ip-address.ts';

/** 127.0.0.0/8 and ::1. */
export function isLoopback(text: string): boolean {
  const address = parseIp(text);
  if (address?.family === 4) return address.bytes[0] === 127;
  return address?.bytes.every((byte, i) => byte === (i === 15 ? 1 : 0)) ?? false;
}
