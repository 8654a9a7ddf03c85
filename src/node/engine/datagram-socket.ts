/** The sending half of a UDP flow in the worker: datagrams leave, and what the system answers is counted and told. */
import type { Millis } from '../../core/tunnel/packet.ts';
import { type Endpoint, formatEndpoint } from '../../core/wire/ip-address.ts';
import { KeptAddress } from '../ffi/arena.ts';
import { ERRNO, errnoName, networkError } from '../ffi/errno.ts';
import { kernelPathMtu, setTypeOfService } from '../ffi/sockets.ts';
import { plainError } from '../plain-error.ts';
import { type BurstSocket, NO_RECORD } from './datagram-burst.ts';
import type { PlainProblem } from './messages.ts';
import { count, PATH } from './shared-memory.ts';
import type { WorkerContext } from './worker-context.ts';

/** The same problem is told once in this time; all are counted. */
const PROBLEM_INTERVAL: Millis = 1000;

export class DatagramSocket implements BurstSocket {
  readonly fd: number;
  lastInBurst: number = NO_RECORD;
  readonly #id: number;
  readonly #context: WorkerContext;
  readonly #counters: Float64Array;
  readonly #remote: Endpoint;
  readonly #sendAddress: KeptAddress;
  readonly #toldAt = new Map<string, number>();
  readonly #sendsBursts: boolean;
  #sendsRuns: boolean;
  #tos = 0;

  /** @param fd a connected datagram socket, from here on this object's */
  constructor(context: WorkerContext, id: number, fd: number, counters: Float64Array, remote: Endpoint) {
    this.#context = context;
    this.#id = id;
    this.#remote = remote;
    this.#counters = counters;
    this.#sendAddress = new KeptAddress(context.arena);
    this.#sendsBursts = context.features.allows('bursts');
    this.#sendsRuns = context.features.allows('udp-segment');
    this.fd = fd;
  }

  /** A burst may leave by one call. */
  get sendsBursts(): boolean {
    return this.#sendsBursts;
  }

  /** Equal datagrams may leave as one run, which the kernel cuts. */
  get sendsRuns(): boolean {
    return this.#sendsRuns;
  }

  /** The system refused a run of datagrams that it took one by one. Remembered for this flow: another's route may do better. */
  refusesRuns(errno: number): void {
    this.#sendsRuns = false;
    this.#context.features.note('udp-segment', `refused on the way to ${formatEndpoint(this.#remote)} (${errnoName(errno)})`);
  }

  /**
   * Sends one datagram. False if it did not leave.
   *
   * @param isFromMain a probe of main's, which waits for the answer: a refusal is told however often
   */
  send(start: number, length: number, isFromMain: boolean): boolean {
    const { libc } = this.#context;
    const address = this.#sendAddress.of(start);
    if (libc.send(this.fd, address, length, 0) === length) {
      this.sent(1, length);
      return true;
    }
    let errno = libc.errno();
    if (errno !== ERRNO.EAGAIN && errno !== ERRNO.ENOBUFS) {
      // Perhaps the word of an earlier datagram (ICMP), told by this call and forgotten with it. The datagram has not been tried then.
      if (libc.send(this.fd, address, length, 0) === length) {
        this.sent(1, length);
        this.heard(errno);
        return true;
      }
      errno = libc.errno();
    }
    if (errno === ERRNO.EAGAIN || errno === ERRNO.ENOBUFS) {
      this.dropped(1);
    } else {
      count(this.#counters, errno === ERRNO.EMSGSIZE ? PATH.sendTooBig : PATH.sendFailed);
      this.#tellError(errno, length, isFromMain);
    }
    return false;
  }

  /** So many datagrams left, with so many bytes. */
  sent(datagrams: number, bytes: number): void {
    count(this.#counters, PATH.sent, datagrams);
    count(this.#counters, PATH.sentBytes, bytes);
    this.#counters[PATH.sentAt] = this.#context.now;
  }

  /** So many did not fit into the socket's buffer, or could not be sealed. */
  dropped(datagrams: number): void {
    count(this.#counters, PATH.sendDropped, datagrams);
  }

  /** A call told what became of an earlier datagram: a router's word, or the peer's. */
  heard(errno: number): void {
    this.#tellError(errno, undefined, false);
  }

  /** The byte that outer packets carry. */
  get typeOfService(): number {
    return this.#tos;
  }

  /** The byte that outer packets carry from now on; cheap where it does not change. */
  setTypeOfService(tos: number): void {
    if (tos === this.#tos) return;
    this.#tos = tos;
    // Refused: the packet leaves with the one before, which is better than not at all.
    setTypeOfService(this.#context.libc, this.fd, this.#remote.address.family, tos);
  }

  tell(problem: PlainProblem): void {
    this.#context.report({ type: 'path-problem', path: this.#id, problem });
  }

  /** The descriptor is no more: told at once, however often. */
  fail(errno: number): void {
    this.tell({ type: 'failed', error: plainError(networkError(this.#what, errno)) });
  }

  close(): void {
    this.#context.libc.close(this.fd);
  }

  /** @param length of the refused datagram; undefined: a router's word */
  #tellError(errno: number, length: number | undefined, always: boolean): void {
    const key = errnoName(errno);
    const { now } = this.#context;
    if (!always && now < (this.#toldAt.get(key) ?? Number.NEGATIVE_INFINITY) + PROBLEM_INTERVAL) return;
    this.#toldAt.set(key, now);
    if (errno === ERRNO.EMSGSIZE) {
      this.tell({ type: 'too-big', length, pathMtu: kernelPathMtu(this.#context.libc, this.fd, this.#remote.address.family) });
    } else {
      this.tell({ type: 'unreachable', error: plainError(networkError(this.#what, errno)) });
    }
  }

  get #what(): string {
    return `UDP to ${formatEndpoint(this.#remote)}`;
  }
}
