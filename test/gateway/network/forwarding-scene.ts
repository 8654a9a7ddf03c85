/**
 * A machine that forwards between the gateway's device and another one, both in the test's hands: what goes in at one end comes out at the other, or is
 * refused. Packets are real ones, made by hand, so that any protocol will do.
 */
import { readSync, writeFileSync, writeSync } from 'node:fs';
import type { Millis } from '../../../src/core/tunnel/packet.ts';
import { GatewayDevice } from '../../../src/gateway/network/gateway-device.ts';
import { ip as runIp } from '../../support/namespace.ts';
import { cidr, ip } from './lease-requests.ts';

/** Protocol numbers of IP. */
export const PROTOCOLS = { icmp: 1, tcp: 6, udp: 17, esp: 50, icmpv6: 58, sctp: 132 } as const;

export type Fate = 'passed' | 'refused';

/** One packet forwarded takes microseconds. */
const DEADLINE: Millis = 30_000;

const MORE_FRAGMENTS = 0x2000;

export interface Probe {
  readonly from: string;
  readonly to: string;
  readonly protocol: keyof typeof PROTOCOLS;
  readonly port?: number;
  /** In two fragments, of which the second has no port. */
  readonly isFragmented?: boolean;
}

export class ForwardingScene {
  readonly device: GatewayDevice;
  readonly #far: GatewayDevice;
  #count = 0;

  private constructor(device: GatewayDevice, far: GatewayDevice) {
    this.device = device;
    this.#far = far;
  }

  /** In a network namespace. Everything that has no other route is behind the far device. */
  static async open(): Promise<ForwardingScene> {
    for (const setting of ['ipv4/ip_forward', 'ipv6/conf/all/forwarding']) writeFileSync(`/proc/sys/net/${setting}`, '1');
    // Refusals are ICMP errors, of which the kernel sends few to one address.
    for (const setting of ['ipv4/icmp_ratelimit', 'ipv6/icmp/ratelimit']) writeFileSync(`/proc/sys/net/${setting}`, '0');
    writeFileSync('/proc/sys/net/ipv4/icmp_msgs_per_sec', '100000');
    const pools = [cidr('10.77.0.0/24'), cidr('fd77::/48')];
    const device = await GatewayDevice.open({ device: 'vpns', queues: 1, mtu: 1500, pools });
    const far = await GatewayDevice.open({ device: 'far', queues: 1, mtu: 1500, pools: [cidr('10.255.0.0/24'), cidr('fdff::/64')] });
    runIp(`route add default dev ${far.name}`);
    runIp(`-6 route add default dev ${far.name}`);
    return new ForwardingScene(device, far);
  }

  /** From a client. */
  out(probe: Probe): Promise<Fate> {
    return this.#send(this.device, this.#far, probe);
  }

  /** To a client. */
  in(probe: Probe): Promise<Fate> {
    return this.#send(this.#far, this.device, probe);
  }

  /** From a client to another: both ends are on the device. */
  across(probe: Probe): Promise<Fate> {
    return this.#send(this.device, this.device, probe);
  }

  close(): void {
    this.device.close();
    this.#far.close();
  }

  async #send(from: GatewayDevice, to: GatewayDevice, probe: Probe): Promise<Fate> {
    const mark = `probe ${++this.#count} `;
    for (const packet of packetsOf(probe, mark)) writeSync(descriptor(from), packet);
    const expected = probe.isFragmented === true ? 2 : 1;
    let seen = 0;
    const deadline = Date.now() + DEADLINE;
    while (Date.now() < deadline) {
      // A refusal quotes the packet that was refused.
      const packets = [...drained(to), ...(from === to ? [] : drained(from))].filter((packet) => packet.includes(mark));
      if (packets.some(isError)) return 'refused';
      seen += packets.filter((packet) => destinationOf(packet).equals(ip(probe.to).bytes)).length; // not a redirect to where it came from
      if (seen === expected) return 'passed';
      await new Promise(setImmediate);
    }
    throw new Error(`nothing came of ${JSON.stringify(probe)}`);
  }
}

function descriptor(device: GatewayDevice): number {
  const [fd] = device.descriptors;
  if (fd === undefined) throw new Error('the device has no queue');
  return fd;
}

function drained(device: GatewayDevice): Buffer[] {
  const packets: Buffer[] = [];
  const room = Buffer.alloc(2048);
  for (;;) {
    try {
      const length = readSync(descriptor(device), room);
      packets.push(Buffer.from(room.subarray(0, length)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return packets;
      throw error;
    }
  }
}

function destinationOf(packet: Buffer): Buffer {
  return packet.readUInt8(0) >> 4 === 4 ? packet.subarray(16, 20) : packet.subarray(24, 40);
}

/** Destination unreachable, of either family. */
function isError(packet: Buffer): boolean {
  return packet.readUInt8(0) >> 4 === 4
    ? packet[9] === PROTOCOLS.icmp && packet[20] === 3
    : packet[6] === PROTOCOLS.icmpv6 && packet[40] === 1;
}

function packetsOf(probe: Probe, mark: string): Buffer[] {
  const payload = transport(probe, mark);
  if (probe.from.includes(':')) return [ipv6Packet(probe, payload)];
  if (probe.isFragmented !== true) return [ipv4Packet(probe, payload, 0)];
  const second = Buffer.from(mark.padEnd(64));
  // The first fragment's length is a multiple of eight, and the mark is in both.
  const first = Buffer.concat([payload, Buffer.alloc((8 - (payload.length % 8)) % 8)]);
  if (probe.protocol === 'udp') first.writeUInt16BE(first.length + second.length, 4);
  return [ipv4Packet(probe, first, MORE_FRAGMENTS), ipv4Packet(probe, second, first.length / 8)];
}

/** With ports, if any, and a checksum: the kernel refuses nothing politely that is damaged. */
function transport({ from, to, protocol, port = 0, isFragmented }: Probe, mark: string): Buffer {
  const text = Buffer.from(mark.padEnd(32));
  const header = Buffer.alloc(protocol === 'tcp' ? 20 : protocol === 'sctp' ? 12 : 8);
  if (protocol === 'icmp') header[0] = 8;
  if (protocol === 'icmpv6') header[0] = 128;
  if (protocol === 'esp') header.writeUInt32BE(0x1234, 0);
  if (protocol === 'tcp' || protocol === 'udp' || protocol === 'sctp') {
    header.writeUInt16BE(50_000, 0);
    header.writeUInt16BE(port, 2);
  }
  if (protocol === 'tcp') header.set([0x50, 0x02, 0xff, 0xff], 12);
  if (protocol === 'udp') header.writeUInt16BE(8 + text.length, 4);
  const packet = Buffer.concat([header, text]);
  const at = CHECKSUM_OFFSET[protocol];
  if (at === undefined || isFragmented === true) return packet; // of UDP over IPv4, zero is none
  const pseudo = protocol === 'icmp' ? Buffer.alloc(0) : pseudoHeader(from, to, protocol, packet.length);
  packet.writeUInt16BE(checksum(Buffer.concat([pseudo, packet])), at);
  return packet;
}

const CHECKSUM_OFFSET: Readonly<Partial<Record<Probe['protocol'], number>>> = { icmp: 2, icmpv6: 2, tcp: 16, udp: 6 };

function pseudoHeader(from: string, to: string, protocol: Probe['protocol'], length: number): Buffer {
  return Buffer.concat([ip(from).bytes, ip(to).bytes, Buffer.of(0, 0, length >>> 8, length, 0, 0, 0, PROTOCOLS[protocol])]);
}

/** RFC 1071, of an even number of bytes. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function ipv4Packet({ from, to, protocol }: Probe, payload: Buffer, fragment: number): Buffer {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(20 + payload.length, 2);
  header.writeUInt16BE(0x77, 4);
  header.writeUInt16BE(fragment, 6);
  header.set([64, PROTOCOLS[protocol]], 8);
  header.set(ip(from).bytes, 12);
  header.set(ip(to).bytes, 16);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, payload]);
}

function ipv6Packet({ from, to, protocol }: Probe, payload: Buffer): Buffer {
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header.writeUInt16BE(payload.length, 4);
  header.set([PROTOCOLS[protocol], 64], 6);
  header.set(ip(from).bytes, 8);
  header.set(ip(to).bytes, 24);
  return Buffer.concat([header, payload]);
}
