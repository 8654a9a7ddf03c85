/**
 * The outer end of a client's UDP flow: a socket that is connected to its one destination, so that nobody else is heard and the system says what becomes
 * of a datagram. Of several targets (name servers) the next has its turn when one refuses, or does not answer while its client asks again.
 */
import { createSocket, type Socket } from 'node:dgram';
import type { OuterFailure } from '../../core/nat/nat.ts';
import type { UdpFlow } from '../../core/nat/session.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { formatIp } from '../../core/wire/ip-address.ts';
import { isOwnLimit, outerFailureOf } from './outer-failure.ts';
import { isSameHost } from './own-host.ts';

/** Datagrams of a flow that wait for its socket, or that Node has and the system does not have yet. Beyond it they are dropped. */
const MAX_WAITING = 256;

/** A target that has not answered by then, when its client asks again, has had its turn. */
const PATIENCE: Millis = 2_000;

export interface UdpOutletOptions {
  readonly flow: UdpFlow;
  readonly now: () => Millis;
  readonly onDatagram: (bytes: Uint8Array) => void;
  readonly onFailed: (why: OuterFailure) => void;
  readonly onLost: () => void;
  /** This process has no descriptors left. */
  readonly onOwnLimit: () => void;
}

export class UdpOutlet {
  readonly #options: UdpOutletOptions;
  /** Until the socket is connected. */
  #waiting: Uint8Array[] = [];
  #unsent = 0;
  #socket: Socket | undefined;
  #isConnected = false;
  #isClosed = false;
  #target = 0;
  #hasAnswered = false;
  #askedAt: Millis | undefined;
  #last: Uint8Array | undefined;

  constructor(options: UdpOutletOptions) {
    this.#options = options;
  }

  open(): void {
    const { flow } = this.#options;
    const target = flow.targets[this.#target];
    if (target === undefined) return;
    const socket = createSocket(target.address.family === 6 ? 'udp6' : 'udp4');
    this.#socket = socket;
    this.#isConnected = false;
    socket.on('error', (error) => this.#failed(socket, error));
    socket.on('message', (bytes) => {
      this.#hasAnswered = true;
      this.#options.onDatagram(bytes);
    });
    // Node tells this call-back of an error, and then not the event.
    socket.connect(target.port, formatIp(target.address), (error?: Error) => {
      if (error !== undefined && error !== null) this.#failed(socket, error);
      else this.#connected(socket);
    });
  }

  /** Sends a datagram, which is ours from here on; or drops it. */
  send(bytes: Uint8Array): void {
    if (this.#isClosed) return;
    if (this.#hasMoreTargets) {
      this.#last = bytes;
      const now = this.#options.now();
      if (this.#askedAt !== undefined && !this.#hasAnswered && now > this.#askedAt + PATIENCE) this.#nextTarget();
      this.#askedAt ??= now;
    }
    if (this.#isConnected) this.#send(bytes);
    else if (this.#waiting.length < MAX_WAITING) this.#waiting.push(bytes);
    else this.#options.onLost();
  }

  /** Safe to call twice. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#waiting = [];
    this.#socket?.close();
  }

  get #hasMoreTargets(): boolean {
    return this.#target + 1 < this.#options.flow.targets.length;
  }

  #connected(socket: Socket): void {
    if (this.#isClosed || socket !== this.#socket) return;
    const { flow, onFailed } = this.#options;
    if (!flow.isService && isSameHost(socket.address().address, socket.remoteAddress().address)) {
      this.#waiting = [];
      onFailed('prohibited');
      return;
    }
    this.#isConnected = true;
    for (const bytes of this.#waiting.splice(0)) this.#send(bytes);
  }

  #send(bytes: Uint8Array): void {
    const socket = this.#socket;
    if (socket === undefined || this.#unsent >= MAX_WAITING) {
      this.#options.onLost();
      return;
    }
    this.#unsent++;
    socket.send(bytes, (error) => {
      this.#unsent--;
      if (error !== null) this.#failed(socket, error);
    });
  }

  #nextTarget(): void {
    this.#socket?.close();
    this.#target++;
    this.#askedAt = undefined;
    this.open();
  }

  #failed(socket: Socket, error: Error): void {
    if (this.#isClosed || socket !== this.#socket) return;
    if (isOwnLimit(error)) this.#options.onOwnLimit();
    const last = this.#last;
    if (this.#hasMoreTargets && !this.#hasAnswered) {
      this.#nextTarget();
      if (last !== undefined) this.#waiting = [last];
      return;
    }
    this.#options.onFailed(outerFailureOf(error));
  }
}
