/** Cuts packets of our own that do not fit the path into fragments (RFC 791 §3.2, RFC 8200 §4.5). TCP never needs it. */
import { putU16, putU32, u16 } from './byte-order.ts';
import { checksumOf, sumWords } from './checksum.ts';
import { PROTOCOL } from './ip-packet.ts';

const FRAGMENT_HEADER = 8;
const MORE_FRAGMENTS = 0x2000;

/**
 * A packet as fragments of at most `mtu` bytes, each of its own memory.
 *
 * @param packet with a header as ip-header.ts writes it
 * @param identification that no other packet to this destination has had lately
 */
export function fragmentsOf(packet: Uint8Array, mtu: number, identification: number): Uint8Array[] {
  const isIpv4 = (packet[0] as number) >>> 4 === 4;
  const header = isIpv4 ? 20 : 40;
  const before = isIpv4 ? header : header + FRAGMENT_HEADER;
  const most = (mtu - before) & ~7;
  const fragments: Uint8Array[] = [];
  for (let offset = 0; header + offset < packet.length; offset += most) {
    const length = Math.min(most, packet.length - header - offset);
    const isLast = header + offset + length === packet.length;
    const fragment = new Uint8Array(before + length);
    fragment.set(packet.subarray(0, header));
    fragment.set(packet.subarray(header + offset, header + offset + length), before);
    if (isIpv4) finishIpv4(fragment, offset, isLast, identification);
    else finishIpv6(fragment, offset, isLast, identification);
    fragments.push(fragment);
  }
  return fragments;
}

function finishIpv4(fragment: Uint8Array, offset: number, isLast: boolean, identification: number): void {
  putU16(fragment, 2, fragment.length);
  putU16(fragment, 4, identification);
  putU16(fragment, 6, (isLast ? 0 : MORE_FRAGMENTS) | (offset / 8));
  putU16(fragment, 10, 0);
  putU16(fragment, 10, checksumOf(sumWords(fragment, 0, 20)));
}

function finishIpv6(fragment: Uint8Array, offset: number, isLast: boolean, identification: number): void {
  const protocol = u16(fragment, 6) >>> 8;
  putU16(fragment, 4, fragment.length - 40);
  fragment[6] = PROTOCOL.fragment;
  fragment[40] = protocol;
  fragment[41] = 0;
  putU16(fragment, 42, offset | (isLast ? 0 : 1));
  putU32(fragment, 44, identification);
}
