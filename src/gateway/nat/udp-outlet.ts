/**
 * The outer end of a client's UDP flow: a socket that is connected to its one destination, so that nobody else is heard and the system says what becomes
 * of a datagram. Of several targets (name servers) the next has its turn when one refuses, or does not answer while its client asks again.
 */
import { createSocket, type Socket } from 'node:dgram';
import { FLOW_DATAGRAM_BYTES } from '../../core/nat/limits.ts';
import type { OuterFailure } from '../../core/nat/nat.ts';
import type { UdpFlow } from '../../core/nat/session.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { formatIp } from '../../core/wire/ip-address.ts';
import type { DatagramRoom } from './datagram-room.ts';
import { isOwnLimit, outerFailureOf } from './outer-failure.ts';
import { isSameHost } from './own-host.ts';

/** What a datagram costs beside its bytes, about. */
const DATAGRAM_OVERHEAD = 256;

/** A target that has not answered by then, when its client asks again, has had its turn. */
const PATIENCE: Millis = 2_000;

export interface UdpOutletOptions {
  readonly flow: UdpFlow;
  readonly now: () => Millis;
  /** That all flows share. */
  readonly room: DatagramRoom;
  readonly onDatagram: (bytes: Uint8Array) => void;
  readonly onFailed: (why: OuterFailure) => void;
  /** It has no socket that could send, and is closed. */
  readonly onEnded: () => void;
  readonly onLost: () => void;
  /** This process has no descriptors left. */
  readonly onOwnLimit: () => void;
}

export class UdpOutlet {
  readonly #options: UdpOutletOptions;
  /** Until the socket is connected. */
  #waiting: Uint8Array[] = [];
  /** Bytes that wait for the socket, or that Node has and the system does not have yet. Beyond {@link FLOW_DATAGRAM_BYTES} datagrams are dropped. */
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
    const cost = bytes.length + DATAGRAM_OVERHEAD;
    if (this.#unsent + cost > FLOW_DATAGRAM_BYTES) {
      this.#options.onLost();
      return;
    }
    this.#unsent += cost;
    if (this.#isConnected) this.#send(bytes);
    else this.#waiting.push(bytes);
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
    const { flow } = this.#options;
    if (!flow.isService && isSameHost(socket.address().address, socket.remoteAddress().address)) {
      this.#end('prohibited');
      return;
    }
    this.#isConnected = true;
    for (const bytes of this.#waiting.splice(0)) this.#send(bytes);
  }

  #send(bytes: Uint8Array): void {
    const { room, onLost } = this.#options;
    const socket = this.#socket;
    const cost = bytes.length + DATAGRAM_OVERHEAD;
    if (socket === undefined || !room.take(cost)) {
      this.#unsent -= cost;
      onLost();
      return;
    }
    socket.send(bytes, (error) => {
      this.#unsent -= cost;
      room.give(cost);
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
      if (last !== undefined && !this.#waiting.includes(last)) {
        this.#waiting.push(last);
        this.#unsent += last.length + DATAGRAM_OVERHEAD;
      }
      return;
    }
    // Without a connected socket nothing of it can leave, ever: its client's next datagram is a new flow's.
    if (this.#isConnected) this.#options.onFailed(outerFailureOf(error));
    else this.#end(outerFailureOf(error));
  }

  #end(why: OuterFailure): void {
    const { onFailed, onEnded } = this.#options;
    onFailed(why);
    this.close();
    onEnded();
  }
}
