/** Main's end of a UDP flow in the engine. */
import { MisuseError, type SallyportError } from '../../core/errors.ts';
import { MAX_RESERVE } from '../../core/tunnel/layer.ts';
import type { TrafficDescription } from '../../core/tunnel/traffic.ts';
import type { Endpoint } from '../../core/wire/ip-address.ts';
import {
  type CarriedState,
  DATAGRAM_COUNTERS,
  type DatagramCounters,
  type DatagramHandler,
  type DatagramPath,
  type DatagramPathOptions,
  type DatagramProblem,
  type HandedFlow,
  MAX_EARLY_DATAGRAMS,
} from '../datagram-path.ts';
import { revivedError } from '../plain-error.ts';
import type { EngineLink } from './engine-link.ts';
import { ENTRY, type PlainProblem } from './messages.ts';
import { count, MAX_PACKET_LENGTH, monotonicMillis, PATH } from './shared-memory.ts';

/** What {@link DatagramPath.send} takes: a datagram, or a content type and a record's plaintext. */
const MAX_SEND_LENGTH = Math.min(MAX_PACKET_LENGTH, MAX_RESERVE + 1);

export class EnginePath implements DatagramPath {
  readonly kind = 'datagram';
  readonly canCarry = true;
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly pathMtu: number | undefined;
  readonly #link: EngineLink;
  readonly #id: number;
  readonly #onClosed: () => void;
  #counters: Float64Array;
  readonly #early: { readonly isRecord: boolean; readonly bytes: Uint8Array }[] = [];
  #earlyDropped = 0;
  #handler: DatagramHandler | undefined;
  /** What main sends are records to seal, and what the worker delivered unopened goes back to it. */
  #isCarried = false;
  /** What it carried is carried by another: its keys are there, and what main still sends would leave in the clear. */
  #hasMoved = false;
  #closed: Promise<void> | undefined;

  static async open(link: EngineLink, id: number, options: DatagramPathOptions, onClosed: () => void): Promise<EnginePath> {
    const { copiesDscp = false, ...socket } = options;
    const answer = await link.call('open-path', { path: id, options: { ...socket, copiesDscp } });
    return new EnginePath(link, id, options.remote, answer, onClosed);
  }

  /** @param first what came before the socket was there */
  static async adopt(link: EngineLink, id: number, fd: number, flow: HandedFlow, onClosed: () => void): Promise<EnginePath> {
    const { remote, first, strayed } = flow;
    const { local, pathMtu, early, strays } = await link.call('adopt-path', { path: id, fd, remote });
    for (const { datagram, from } of strays) strayed(datagram, from);
    const path = new EnginePath(link, id, remote, { local, pathMtu }, onClosed);
    for (const bytes of first === undefined ? early : [first, ...early]) path.#keepEarly(false, bytes);
    return path;
  }

  private constructor(
    link: EngineLink,
    id: number,
    remote: Endpoint,
    facts: { readonly local: Endpoint; readonly pathMtu: number | undefined },
    onClosed: () => void,
  ) {
    this.#link = link;
    this.#id = id;
    this.#onClosed = onClosed;
    this.remote = remote;
    this.local = facts.local;
    this.pathMtu = facts.pathMtu;
    this.#counters = link.memory.pathCounters(id);
  }

  /** The worker's number of this path, for {@link PacketEngine.route}. */
  get id(): number {
    return this.#id;
  }

  start(handler: DatagramHandler): void {
    if (this.#handler !== undefined) throw new MisuseError('this UDP path was started before');
    this.#handler = handler;
    // Not at once: who starts a path tells its machine of it next, and a machine does not listen to paths that it does not know.
    queueMicrotask(() => {
      for (const { isRecord, bytes } of this.#early.splice(0)) this.#deliver(handler, isRecord, bytes);
    });
  }

  stop(): void {
    this.#handler = undefined;
  }

  send(bytes: Uint8Array): void {
    if (this.#closed !== undefined) return;
    if (bytes.length > MAX_SEND_LENGTH) throw new MisuseError(`${bytes.length} bytes do not fit in a datagram`);
    // The worker seals no record without keys, and counts it.
    const kind = this.#isCarried || this.#hasMoved ? ENTRY.record : ENTRY.datagram;
    if (this.#link.push(kind, this.#id, bytes, 0, bytes.length)) this.#link.flushSoon();
    else count(this.#counters, PATH.commitDropped);
  }

  async carry(traffic: TrafficDescription | undefined): Promise<CarriedState | undefined> {
    const wasCarried = this.#isCarried;
    // At once, not with the answer: what is sent after this call is meant for the new state, and the ring keeps the order.
    this.#isCarried = traffic !== undefined;
    try {
      return await this.#link.call('carry', { path: this.#id, traffic });
    } catch (error) {
      this.#isCarried = wasCarried;
      throw error;
    }
  }

  async setTunnelMtu(mtu: number): Promise<void> {
    if (this.#closed === undefined) await this.#link.call('set-tunnel-mtu', { path: this.#id, mtu });
  }

  async takeOver(from: DatagramPath, datagram: Uint8Array | undefined): Promise<boolean> {
    if (!(from instanceof EnginePath)) throw new MisuseError('only a path of the engine has traffic to take over');
    // At once, as in carry(): what the worker delivers unopened from here on goes back to it.
    this.#isCarried = true;
    try {
      this.#isCarried = await this.#link.call('move-traffic', { from: from.#id, to: this.#id, datagram });
    } catch (error) {
      this.#isCarried = false;
      throw error;
    }
    if (this.#isCarried) {
      from.#isCarried = false;
      from.#hasMoved = true;
    }
    return this.#isCarried;
  }

  counters(): DatagramCounters {
    const offset = performance.now() - monotonicMillis();
    const local = (at: number) => (at === 0 ? 0 : at + offset);
    const all = Object.fromEntries(DATAGRAM_COUNTERS.map((name) => [name, this.#counters[PATH[name]] ?? 0])) as DatagramCounters;
    const deliverDropped = all.deliverDropped + this.#earlyDropped;
    return { ...all, deliverDropped, sentAt: local(all.sentAt), receivedAt: local(all.receivedAt), carriedAt: local(all.carriedAt) };
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    try {
      await this.#link.call('close-path', { path: this.#id });
    } catch {
      // The engine has ended, and the socket with it.
    }
    this.#counters = this.#counters.slice(); // the place is another's next
    this.#onClosed();
  }

  /** A datagram or an opened record of the ring. */
  receive(kind: number, data: Buffer, start: number, end: number): void {
    if (this.#closed !== undefined) return;
    const isRecord = kind === ENTRY.record;
    if (!isRecord && this.#isCarried) {
      // It came before the worker had the keys. Only the worker may open it now: it keeps the replay window.
      if (this.#link.push(ENTRY.received, this.#id, data, start, end)) this.#link.flush();
      else count(this.#counters, PATH.commitDropped);
      return;
    }
    const bytes = this.#link.lend(data, start, end);
    if (this.#handler !== undefined) this.#deliver(this.#handler, isRecord, bytes);
    else this.#keepEarly(isRecord, Uint8Array.from(bytes));
  }

  #keepEarly(isRecord: boolean, bytes: Uint8Array): void {
    if (this.#early.length < MAX_EARLY_DATAGRAMS) this.#early.push({ isRecord, bytes });
    else this.#earlyDropped++;
  }

  report(problem: PlainProblem): void {
    if (this.#closed === undefined) this.#handler?.problem(revivedProblem(problem));
  }

  /** The engine is gone. */
  fail(error: SallyportError): void {
    if (this.#closed === undefined) this.#handler?.problem({ type: 'failed', error });
  }

  #deliver(handler: DatagramHandler, isRecord: boolean, bytes: Uint8Array): void {
    if (isRecord) handler.record(bytes);
    else handler.datagram(bytes);
  }
}

function revivedProblem(problem: PlainProblem): DatagramProblem {
  if (problem.type === 'too-big' || problem.type === 'key-used-up') return problem;
  return { type: problem.type, error: revivedError(problem.error) };
}
