/**
 * Packets of one device as they passed, for what only a look at the wire can prove: checksums, order, sizes.
 *
 * tcpdump writes them; its file format: draft-ietf-opsawg-pcap, "General File Structure".
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Namespace } from './namespaces.ts';
import type { Program } from './program.ts';

export interface CapturedPacket {
  /** Seconds since 1970. */
  readonly time: number;
  /** From the IP header on. */
  readonly bytes: Uint8Array;
}

/** Bytes before the IP header, by link type. */
const LINK_HEADERS: ReadonlyMap<number, number> = new Map([
  [1, 14], // LINKTYPE_ETHERNET
  [101, 0], // LINKTYPE_RAW: a tun device
]);

/** For packets that pass while tcpdump has no time: the kernel holds some ten thousand. */
const BUFFER_KIB = '16384';

export class Capture {
  readonly #program: Program;
  readonly #file: string;

  private constructor(program: Program, file: string) {
    this.#program = program;
    this.#file = file;
  }

  /** Captures from when the promise resolves. `filter`: tcpdump's own language; default: IP only. */
  static async start(namespace: Namespace, folder: string, device: string, filter = 'ip or ip6'): Promise<Capture> {
    const file = path.join(folder, `${namespace.name}-${device}-${process.hrtime.bigint()}.pcap`);
    const program = await namespace.start('tcpdump', ['-n', '-B', BUFFER_KIB, '-Z', 'root', '-i', device, '-w', file, filter]);
    await program.waitFor(/listening on/);
    return new Capture(program, file);
  }

  /** Ends the capture. Throws if packets passed too fast for it. */
  async stop(): Promise<readonly CapturedPacket[]> {
    // At its end tcpdump forgets what it has not read yet: ask how far it is until it has read all.
    for (let isBehind = true; isBehind; ) {
      const after = this.#program.output.length;
      this.#program.signal('SIGUSR1');
      const counts = /(\d+) packets? captured, (\d+) packets? received by filter, (\d+) packets? dropped/;
      const [, captured, received, dropped] = await this.#program.waitFor(counts, { after });
      if (dropped !== '0') throw new Error(`${dropped} packets were not captured: ${this.#program.describe()}`);
      isBehind = captured !== received;
    }
    await this.#program.stop({ signal: 'SIGINT' });
    return parsePcap(readFileSync(this.#file));
  }
}

/** Reads a capture file of this machine's byte order with times in microseconds: what tcpdump writes. */
export function parsePcap(file: Uint8Array): CapturedPacket[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (view.getUint32(0, true) !== 0xa1b2c3d4) throw new Error('not a pcap file of this machine');
  const skip = LINK_HEADERS.get(view.getUint32(20, true));
  if (skip === undefined) throw new Error(`captured on a link of unknown type ${view.getUint32(20, true)}`);
  const packets: CapturedPacket[] = [];
  for (let at = 24; at < file.length; ) {
    const [seconds, micros, length] = [view.getUint32(at, true), view.getUint32(at + 4, true), view.getUint32(at + 8, true)];
    packets.push({ time: seconds + micros / 1e6, bytes: file.subarray(at + 16 + skip, at + 16 + length) });
    at += 16 + length;
  }
  return packets;
}

/**
 * What is wrong with a packet's checksums: IPv4 header, TCP, UDP, ICMP, ICMPv6. Undefined: nothing. Fragments are not looked into.
 *
 * @param mayBeLeft as on a device with offloads: where the host leaves a TCP or UDP checksum to the device, the pseudo header's sum stands in its place
 */
export function checksumFault(packet: Uint8Array, { mayBeLeft = false } = {}): string | undefined {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const isIpv4 = packet[0] !== undefined && packet[0] >> 4 === 4;
  const headerLength = isIpv4 ? ((packet[0] ?? 0) & 15) * 4 : 40;
  if (isIpv4 && internetSum(packet.subarray(0, headerLength)) !== 0xffff) return 'IPv4 header checksum';
  if (isIpv4 && (view.getUint16(6) & 0x3fff) !== 0) return undefined;
  const protocol = packet[isIpv4 ? 9 : 6] ?? 0;
  const name = CHECKSUMMED.get(protocol);
  if (name === undefined) return undefined;
  const body = packet.subarray(headerLength, isIpv4 ? view.getUint16(2) : headerLength + view.getUint16(4));
  if (isIpv4 && name === 'UDP' && view.getUint16(headerLength + 6) === 0) return undefined; // RFC 768: the sender made none
  // RFC 9293 §3.1, RFC 8200 §8.1: addresses, length and protocol are summed too; ICMP over IPv4 sums only itself.
  const addresses = isIpv4 ? packet.subarray(12, 20) : packet.subarray(8, 40);
  const pseudo = name === 'ICMP' ? 0 : internetSum(addresses) + body.length + protocol;
  if (internetSum(body, pseudo) === 0xffff) return undefined;
  if (mayBeLeft && !name.startsWith('ICMP') && view.getUint16(headerLength + (name === 'TCP' ? 16 : 6)) === internetSum([], pseudo))
    return undefined;
  return `${name} checksum`;
}

const CHECKSUMMED: ReadonlyMap<number, string> = new Map([
  [1, 'ICMP'],
  [6, 'TCP'],
  [17, 'UDP'],
  [58, 'ICMPv6'],
]);

/** RFC 1071: the one's complement sum of 16-bit words; 0xffff over data that includes its right checksum. */
function internetSum(bytes: ArrayLike<number>, start = 0): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}
