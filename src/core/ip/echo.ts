/** Echo requests of ours and their answers: what a ping is made of (RFC 792, RFC 4443 §4). */

import { NetworkError } from '../errors.ts';
import { copyOf } from '../wire/copy.ts';
import { type IpAddress, sameIp } from '../wire/ip-address.ts';
import type { Datagram } from './datagram-queue.ts';
import { DatagramQueue } from './datagram-queue.ts';
import { echoTypes, type IcmpError, icmpPacket } from './icmp-message.ts';
import type { UdpSent, UdpSurroundings } from './udp.ts';

/** What comes back: an answer's payload, or what the network says. */
export type EchoAnswer =
  | { readonly sequence: number; readonly bytes: Uint8Array }
  | { readonly sequence: number; readonly error: IcmpError };

export class EchoSocket {
  readonly remote: IpAddress;
  readonly identifier: number;
  isReadyQueued = false;
  onReady: (() => void) | undefined;
  readonly #host: EchoHost;
  readonly #answers: DatagramQueue;
  readonly #errors: { readonly sequence: number; readonly error: IcmpError }[] = [];
  #isClosed = false;

  constructor(host: EchoHost, remote: IpAddress, identifier: number, limit: number) {
    this.#host = host;
    this.remote = remote;
    this.identifier = identifier;
    this.#answers = new DatagramQueue(limit);
  }

  /** @param sequence 16 bits, by which the answer is known */
  send(sequence: number, bytes: Uint8Array): UdpSent {
    return this.#host.send(this, sequence, bytes);
  }

  receive(): EchoAnswer | undefined {
    const answer = this.#answers.take();
    return answer === undefined ? this.#errors.shift() : { sequence: answer.from.port, bytes: answer.bytes };
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#host.closed(this);
  }

  /** For the host; the sequence number stands in the place of a port. */
  deliver(answer: Datagram): boolean {
    return this.#answers.push(answer);
  }

  /** For the host. */
  fail(sequence: number, error: IcmpError): void {
    if (this.#errors.length < MAX_ERRORS) this.#errors.push({ sequence, error });
  }
}

const MAX_ERRORS = 64;

export class EchoHost {
  readonly #surroundings: UdpSurroundings;
  readonly #sockets = new Map<number, EchoSocket>();

  constructor(surroundings: UdpSurroundings) {
    this.#surroundings = surroundings;
  }

  /** Throws {@link NetworkError} (`ENOBUFS`). */
  open(remote: IpAddress): EchoSocket {
    const { limits, random } = this.#surroundings;
    if (this.#sockets.size >= Math.min(limits.datagramSockets, 0xffff)) {
      throw new NetworkError('There are too many echo sockets already.', { code: 'ENOBUFS' });
    }
    let identifier = random() & 0xffff;
    while (this.#sockets.has(identifier)) identifier = (identifier + 1) & 0xffff;
    const socket = new EchoSocket(this, remote, identifier, limits.datagramBuffer);
    this.#sockets.set(identifier, socket);
    return socket;
  }

  send(socket: EchoSocket, sequence: number, bytes: Uint8Array): UdpSent {
    const { remote, identifier } = socket;
    const source = this.#surroundings.sourceFor(remote);
    if (source === undefined) return 'no-route';
    const type = echoTypes(remote.family).request;
    const packet = icmpPacket(remote.family, source.bytes, remote.bytes, {
      type,
      code: 0,
      rest: (identifier << 16) | sequence,
      body: bytes,
    });
    return this.#surroundings.sendDatagram(packet) ? 'sent' : 'full';
  }

  /** An answer has arrived. */
  receive(from: IpAddress, identifier: number, sequence: number, bytes: Uint8Array): void {
    const socket = this.#find(from, identifier);
    const { counters, ready } = this.#surroundings;
    if (socket === undefined) counters.drop('no-port');
    else if (socket.deliver({ from: { address: from, port: sequence }, bytes: copyOf(bytes) })) ready.add(socket);
    else counters.drop('socket-full');
  }

  /** Somebody may have sent requests with this identifier to there. */
  hasSocket(to: IpAddress, identifier: number): boolean {
    return this.#find(to, identifier) !== undefined;
  }

  icmpError(error: IcmpError, to: IpAddress, identifier: number, sequence: number): void {
    const socket = this.#find(to, identifier);
    if (socket === undefined) return;
    socket.fail(sequence, error);
    this.#surroundings.ready.add(socket);
  }

  closed(socket: EchoSocket): void {
    this.#sockets.delete(socket.identifier);
  }

  #find(remote: IpAddress, identifier: number): EchoSocket | undefined {
    const socket = this.#sockets.get(identifier);
    return socket !== undefined && sameIp(socket.remote, remote) ? socket : undefined;
  }
}
