/**
 * UDP: sockets and who gets which datagram.
 *
 * Read first: RFC 768; RFC 1122 §4.1; RFC 8200 §8.1 (checksums).
 */

import { MisuseError, NetworkError } from '../errors.ts';
import { copyOf } from '../wire/copy.ts';
import { type Endpoint, formatIp, type IpAddress, sameIp } from '../wire/ip-address.ts';
import { putU16, u16 } from './byte-order.ts';
import { checksumOf, sumPseudoHeader, sumWords } from './checksum.ts';
import { type Datagram, DatagramQueue } from './datagram-queue.ts';
import type { IcmpError } from './icmp-message.ts';
import type { Intercept } from './intercept.ts';
import { addressesOffset, ipHeaderLength, writeIpHeader } from './ip-header.ts';
import { type IpPacket, PROTOCOL } from './ip-packet.ts';
import type { StackLimits } from './limits.ts';
import { PortTable } from './port-table.ts';
import type { ReadyList } from './ready-list.ts';
import type { StackCounters } from './stack-counters.ts';

const UDP_HEADER = 8;

/** Largest payload: RFC 768's length field, and IPv4's for the whole packet. */
export const MAX_UDP_PAYLOAD = 65_507;

/** What became of a datagram: `full`: the device's queue is, and it was dropped. */
export type UdpSent = 'sent' | 'full' | 'too-big' | 'no-route';

/** What UDP needs of the rest of the stack. */
export interface UdpSurroundings {
  readonly limits: StackLimits;
  readonly counters: StackCounters;
  readonly ready: ReadyList;
  /** Takes what is for no socket; undefined: it is refused. */
  readonly intercept: Intercept | undefined;
  readonly random: () => number;
  sourceFor(destination: IpAddress): IpAddress | undefined;
  isOwn(address: IpAddress): boolean;
  /** Sends a packet that is ready, in fragments if need be. False: there is no room. */
  sendDatagram(packet: Uint8Array): boolean;
}

export class UdpSocket {
  readonly family: 4 | 6;
  /** Undefined: every address of the host. */
  readonly address: IpAddress | undefined;
  readonly port: number;
  isReadyQueued = false;
  /** Called from {@link IpStack.dispatch}: there may be datagrams to take, or an error. */
  onReady: (() => void) | undefined;
  readonly #host: UdpHost;
  readonly #queue: DatagramQueue;
  #error: { readonly error: IcmpError; readonly to: Endpoint } | undefined;
  #isClosed = false;

  constructor(host: UdpHost, family: 4 | 6, address: IpAddress | undefined, port: number, limit: number) {
    this.#host = host;
    this.family = family;
    this.address = address;
    this.port = port;
    this.#queue = new DatagramQueue(limit);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Sends a copy of the bytes. Throws {@link MisuseError} for a closed socket or another family. */
  send(bytes: Uint8Array, to: Endpoint): UdpSent {
    if (this.#isClosed) throw new MisuseError('this UDP socket is closed');
    if (to.address.family !== this.family) throw new MisuseError(`this UDP socket is for IPv${this.family}`);
    return this.#host.send(this, bytes, to);
  }

  /** The next datagram, which is the caller's from here on. */
  receive(): Datagram | undefined {
    return this.#queue.take();
  }

  /** What the network has said of a datagram of ours since the last call. */
  takeError(): { readonly error: IcmpError; readonly to: Endpoint } | undefined {
    const error = this.#error;
    this.#error = undefined;
    return error;
  }

  /** Safe to call twice. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#queue.clear();
    this.#host.closed(this);
  }

  /** For the host: a datagram came. False: there is no room. */
  deliver(datagram: Datagram): boolean {
    return this.#queue.push(datagram);
  }

  /** For the host. */
  fail(error: IcmpError, to: Endpoint): void {
    this.#error = { error, to };
  }
}

export class UdpHost {
  readonly #surroundings: UdpSurroundings;
  readonly #sockets = new Map<number, UdpSocket[]>();
  readonly #ports: PortTable;
  #count = 0;

  constructor(surroundings: UdpSurroundings) {
    this.#surroundings = surroundings;
    this.#ports = new PortTable(surroundings.random);
  }

  /** Throws {@link NetworkError} (`EADDRINUSE`, `EADDRNOTAVAIL`, `ENOBUFS`). */
  open(family: 4 | 6, address: IpAddress | undefined, port: number): UdpSocket {
    const { limits } = this.#surroundings;
    if (this.#count >= limits.datagramSockets) {
      throw new NetworkError(`There are ${limits.datagramSockets} datagram sockets already.`, { code: 'ENOBUFS' });
    }
    if (address !== undefined && (address.family !== family || !this.#surroundings.isOwn(address))) {
      throw new NetworkError(`${formatIp(address)} is no address of this end.`, { code: 'EADDRNOTAVAIL' });
    }
    const chosen = port === 0 ? this.#ports.pick((candidate) => this.#isFree(family, address, candidate)) : port;
    if (chosen === undefined || !this.#isFree(family, address, chosen)) {
      throw new NetworkError(`UDP port ${port} is in use.`, { code: 'EADDRINUSE' });
    }
    const socket = new UdpSocket(this, family, address, chosen, limits.datagramBuffer);
    this.#sockets.set(chosen, [...(this.#sockets.get(chosen) ?? []), socket]);
    this.#count++;
    return socket;
  }

  send(socket: UdpSocket, bytes: Uint8Array, to: Endpoint): UdpSent {
    const { counters } = this.#surroundings;
    if (bytes.length > MAX_UDP_PAYLOAD) {
      counters.drop('too-big');
      return 'too-big';
    }
    const source = socket.address ?? this.#surroundings.sourceFor(to.address);
    if (source === undefined) {
      counters.drop('no-route');
      return 'no-route';
    }
    return this.#surroundings.sendDatagram(udpPacket({ address: source, port: socket.port }, to, bytes)) ? 'sent' : 'full';
  }

  /** The payload of a packet for us. False: nobody wants it. */
  receive(packet: IpPacket, isVerified: boolean): boolean {
    const { buffer, payload, end, addressesAt, addressLength, family } = packet;
    const { counters, ready, intercept } = this.#surroundings;
    const length = end - payload < UDP_HEADER ? 0 : u16(buffer, payload + 4);
    if (length < UDP_HEADER || length > end - payload) {
      counters.drop('malformed');
      return true;
    }
    const sum = u16(buffer, payload + 6);
    if (sum === 0 ? family === 6 : !isVerified && !isSumRight(buffer, addressesAt, addressLength, payload, length)) {
      counters.drop('bad-checksum');
      return true;
    }
    const local: IpAddress = { family, bytes: packet.destination };
    const socket = this.#find(local, u16(buffer, payload + 2));
    if (socket === undefined && intercept !== undefined) {
      if (intercept.holdDatagram(packet, buffer.subarray(payload + UDP_HEADER, payload + length))) ready.add(intercept);
      return true;
    }
    if (socket === undefined) {
      counters.drop('no-port');
      return false;
    }
    const from: Endpoint = { address: { family, bytes: copyOf(packet.source) }, port: u16(buffer, payload) };
    if (socket.deliver({ from, bytes: copyOf(buffer.subarray(payload + UDP_HEADER, payload + length)) })) ready.add(socket);
    else counters.drop('socket-full');
    return true;
  }

  /** Somebody may have sent from there. */
  hasSocket(local: IpAddress, port: number): boolean {
    return this.#find(local, port) !== undefined;
  }

  /** `quoted`: the UDP header of a packet of ours. */
  icmpError(error: IcmpError, local: IpAddress, remote: IpAddress, quoted: Uint8Array): void {
    const socket = this.#find(local, u16(quoted, 0));
    if (socket === undefined) return;
    socket.fail(error, { address: remote, port: u16(quoted, 2) });
    this.#surroundings.ready.add(socket);
  }

  closed(socket: UdpSocket): void {
    const rest = (this.#sockets.get(socket.port) ?? []).filter((other) => other !== socket);
    if (rest.length === 0) this.#sockets.delete(socket.port);
    else this.#sockets.set(socket.port, rest);
    this.#count--;
  }

  #find(local: IpAddress, port: number): UdpSocket | undefined {
    const sockets = this.#sockets.get(port);
    return (
      sockets?.find(({ address }) => address !== undefined && sameIp(address, local)) ??
      sockets?.find(({ address, family }) => address === undefined && family === local.family)
    );
  }

  #isFree(family: 4 | 6, address: IpAddress | undefined, port: number): boolean {
    return !(this.#sockets.get(port) ?? []).some(
      (other) => other.family === family && (other.address === undefined || address === undefined || sameIp(other.address, address)),
    );
  }
}

function isSumRight(buffer: Uint8Array, addressesAt: number, addressLength: number, payload: number, length: number): boolean {
  const pseudo = sumPseudoHeader(buffer, addressesAt, addressLength, PROTOCOL.udp, length);
  return checksumOf(sumWords(buffer, payload, payload + length, pseudo)) === 0;
}

/** A whole packet with one datagram. */
export function udpPacket(from: Endpoint, to: Endpoint, bytes: Uint8Array): Uint8Array {
  const { family } = from.address;
  const header = ipHeaderLength(family);
  const length = UDP_HEADER + bytes.length;
  const packet = new Uint8Array(header + length);
  writeIpHeader(packet, 0, family, from.address.bytes, to.address.bytes, PROTOCOL.udp, length);
  putU16(packet, header, from.port);
  putU16(packet, header + 2, to.port);
  putU16(packet, header + 4, length);
  packet.set(bytes, header + UDP_HEADER);
  const pseudo = sumPseudoHeader(packet, addressesOffset(family), from.address.bytes.length, PROTOCOL.udp, length);
  // RFC 768: a sum of 0 is sent as all ones, since 0 means that there is none.
  putU16(packet, header + 6, checksumOf(sumWords(packet, header, packet.length, pseudo)) || 0xffff);
  return packet;
}
