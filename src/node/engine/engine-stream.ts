/**
 * Main's end of a TLS connection in the engine.
 *
 * The socket is connected by main, which knows names, addresses and proxies; then the worker takes a descriptor of its own for it and main closes its
 * own. The handshake is the worker's: keys never exist elsewhere.
 */
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { CancelledError, MisuseError, NetworkError, type SallyportError } from '../../core/errors.ts';
import type { StreamTraffic } from '../../core/tunnel/traffic.ts';
import type { Endpoint } from '../../core/wire/ip-address.ts';
import type { CarriedUse } from '../driver/carried-use.ts';
import { errnoName, systemError } from '../ffi/errno.ts';
import { LINUX, libc } from '../ffi/libc.ts';
import type { PeerVerification } from '../ffi/openssl-tls.ts';
import { connected } from '../socket-handle.ts';
import { systemErrorText } from '../system-error.ts';
import { type StreamCarrier, TLS_FAILED, type TlsStream } from '../tls-stream.ts';
import type { EngineLink } from './engine-link.ts';
import type { AdoptionOptions, EngineStreamOptions } from './engine-stream-options.ts';
import { ENTRY } from './messages.ts';
import { localTime, PATH } from './shared-memory.ts';
import type { SecuredFacts, StreamReport } from './stream-messages.ts';
import { StreamOutbox } from './stream-outbox.ts';

/** How long a handshake may take. */
const HANDSHAKE_TIMEOUT_MS = 60_000;

/** Bytes that are kept for a listener to come: a peer that speaks first sends a greeting, not more. */
const MAX_EARLY_BYTES = 64 * 1024;

export class EngineStream implements TlsStream, StreamCarrier {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly #link: EngineLink;
  readonly #id: number;
  readonly #host: string;
  readonly #onClosed: () => void;
  #counters: Float64Array;
  readonly #secured = Promise.withResolvers<SecuredFacts>();
  /** The worker is done with it, or will be told nothing more. */
  readonly #over = Promise.withResolvers<void>();
  /** What was to leave before the end has left. */
  readonly #said = Promise.withResolvers<void>();
  #farewell: Promise<void> | undefined;
  readonly #outbox: StreamOutbox;
  #facts: SecuredFacts | undefined;
  #peerCertificate: Uint8Array = new Uint8Array(0);
  #isCarried = false;
  /** The answer to a description that the worker may not know yet; and how often {@link carry} was called. */
  #described: Promise<unknown> | undefined;
  #wishes = 0;
  #hasGivenBack = false;
  #early: Uint8Array[] = [];
  #earlyBytes = 0;
  #state: 'open' | 'ending' | 'over' = 'open';
  #failure: SallyportError | undefined;
  #onData: ((bytes: Uint8Array) => void) | undefined;
  #onDrain: (() => void) | undefined;
  #onClose: ((error: SallyportError | undefined) => void) | undefined;
  #released: Promise<void> | undefined;

  /**
   * Takes a connected socket over; it is destroyed in any case. `created` is told of the object before the handshake, so that what the worker says of
   * it finds it.
   */
  static async open(
    link: EngineLink,
    id: number,
    socket: Socket,
    options: EngineStreamOptions,
    created: (stream: EngineStream) => void,
    onClosed: () => void,
  ): Promise<EngineStream> {
    const stream = await EngineStream.#create(link, id, socket, options, created, onClosed);
    try {
      await stream.#shakeHands(options.signal);
      return stream;
    } catch (error) {
      await stream.#release();
      throw error;
    }
  }

  static async #create(
    link: EngineLink,
    id: number,
    socket: Socket,
    { host, tls }: EngineStreamOptions,
    created: (stream: EngineStream) => void,
    onClosed: () => void,
  ): Promise<EngineStream> {
    try {
      const { fd, local, remote } = connected(socket);
      const stream = new EngineStream(link, id, host, local, remote, onClosed);
      created(stream);
      await link.call('open-stream', { path: id, fd, tls }).catch(async (error: unknown) => {
        await stream.#release();
        throw error;
      });
      return stream;
    } finally {
      tls.identity?.key.fill(0); // the copy that went to the worker is wiped there
      socket.destroy(); // before a byte is sent, so that none of the answer comes here
    }
  }

  /**
   * Takes over what this thread has made of a connection. If that is refused, it is this thread's as before; else the worker has a descriptor of its own
   * from here on. `created` is told of the object before the worker is.
   */
  static async adopt(
    link: EngineLink,
    id: number,
    { fd, handle, local, remote, host, facts }: AdoptionOptions,
    created: (stream: EngineStream) => void,
    onClosed: () => void,
  ): Promise<EngineStream> {
    const { fcntl, errno } = libc('the packet engine');
    // Until the worker has one: the socket may be closed meanwhile, and its number be another client's.
    const kept = fcntl(fd, LINUX.F_DUPFD_CLOEXEC, 0);
    if (kept < 0) throw systemError('the socket of a TLS connection', errno());
    const stream = new EngineStream(link, id, host, local, remote, onClosed);
    stream.#facts = facts;
    stream.#peerCertificate = facts.peerCertificate ?? stream.#peerCertificate;
    created(stream);
    try {
      await link.call('open-stream', { path: id, fd: kept, tls: handle });
    } finally {
      closeSync(kept);
    }
    link.call('shake-hands', { path: id }).catch(() => undefined); // the engine has ended: that is told to all its streams
    return stream;
  }

  private constructor(link: EngineLink, id: number, host: string, local: Endpoint, remote: Endpoint, onClosed: () => void) {
    this.#link = link;
    this.#id = id;
    this.#host = host;
    this.local = local;
    this.remote = remote;
    this.#onClosed = onClosed;
    this.#outbox = new StreamOutbox(link, id, () => {
      if (this.#state === 'ending') this.#sayGoodbye();
    });
    this.#counters = link.memory.pathCounters(id);
    this.#secured.promise.catch(() => undefined); // where nobody waits for it any more
  }

  /** The worker's number of this path, for {@link PacketEngine.route}. */
  get id(): number {
    return this.#id;
  }

  /** DER. */
  get peerCertificate(): Uint8Array {
    return this.#peerCertificate;
  }

  /** What the peer showed, and what is wrong with it by the authorities of the settings. */
  get verification(): PeerVerification {
    return this.#known.verification ?? { chain: [], fault: 'UNSPECIFIED' };
  }

  get cipherSuite(): string {
    return this.#known.cipherSuite;
  }

  get finished(): Uint8Array {
    return this.#known.finished;
  }

  /** Nothing comes any more, and nothing can be sent. */
  get isOver(): boolean {
    return this.#state === 'over';
  }

  get carrier(): StreamCarrier {
    return this;
  }

  get queued(): number {
    return this.#outbox.bytes;
  }

  exportKeyingMaterial(label: string, length: number): Promise<Uint8Array> {
    return this.#link.call('export-keys', { path: this.#id, label, length });
  }

  write(bytes: Uint8Array): boolean {
    if (this.#state !== 'open') return false;
    this.#outbox.add(bytes);
    return this.#outbox.isCommitted;
  }

  onData(listener: (bytes: Uint8Array) => void): void {
    this.#onData = listener;
    for (const bytes of this.#early.splice(0)) listener(bytes);
  }

  onDrain(listener: () => void): void {
    this.#onDrain = listener;
  }

  onClose(listener: (error: SallyportError | undefined) => void): void {
    this.#onClose = listener;
    if (this.#state === 'over') queueMicrotask(() => listener(this.#failure)); // while nobody listened
  }

  async carry(traffic: StreamTraffic | undefined): Promise<void> {
    const wish = ++this.#wishes;
    if (traffic === undefined && this.#described !== undefined) {
      // Not before: what was delivered before the worker knew is given back, all of it, and comes again behind what the machine has handed over.
      await this.#described.catch(() => undefined);
      if (wish !== this.#wishes) return; // carried again meanwhile
    }
    // At once, not with the answer: what comes from now on was delivered before the worker knew, and is given back.
    this.#isCarried = traffic !== undefined;
    const answer = this.#link.call('carry', { path: this.#id, traffic });
    if (traffic !== undefined) this.#described = answer;
    try {
      await answer;
    } finally {
      if (this.#described === answer) this.#described = undefined;
    }
  }

  get updatesKeys(): boolean {
    return this.#known.updatesKeys;
  }

  async updateKeys(): Promise<void> {
    await this.#link.call('update-keys', { path: this.#id });
  }

  use(): CarriedUse {
    const { [PATH.carriedSent]: sent = 0, [PATH.carriedReceived]: received = 0, [PATH.carriedAt]: at = 0 } = this.#counters;
    return { sent, received, at: localTime(at) };
  }

  times(): { readonly heardAt: number; readonly sentAt: number } {
    const { [PATH.receivedAt]: heardAt = 0, [PATH.sentAt]: sentAt = 0 } = this.#counters;
    return { heardAt: localTime(heardAt), sentAt: localTime(sentAt) };
  }

  async close(limitMs: number): Promise<void> {
    if (this.#state === 'open') {
      this.#state = 'ending';
      // What waits may take its time. No packet passes meanwhile, as its address may soon be another's; an engine that has ended carries nothing.
      if (this.#isCarried) this.carry(undefined).catch(() => undefined);
      if (this.#outbox.isCommitted) this.#sayGoodbye();
    }
    this.#farewell ??= this.#overWithin(limitMs).then(() => this.#release());
    await Promise.race([this.#said.promise, this.#farewell]);
  }

  async #overWithin(limitMs: number): Promise<void> {
    const limit = setTimeout(() => this.#over.resolve(), limitMs);
    limit.unref(); // whoever ends the process does not wait for a peer
    await this.#over.promise;
    clearTimeout(limit);
  }

  /** Pending while the peer's goodbye is awaited, after {@link close}. */
  get farewell(): Promise<void> | undefined {
    return this.#farewell;
  }

  destroy(): void {
    void this.#release();
  }

  /** Bytes of the ring: `record` has whole frames, cut by the worker; anything else is as it came. */
  receive(kind: number, data: Buffer, start: number, end: number): void {
    if (this.#released !== undefined) return;
    if (this.#isCarried && kind !== ENTRY.record) {
      this.#giveBack(data, start, end);
      return;
    }
    const bytes = this.#link.lend(data, start, end);
    if (this.#onData !== undefined) {
      this.#onData(bytes);
      return;
    }
    this.#early.push(Uint8Array.from(bytes));
    this.#earlyBytes += bytes.length;
    if (this.#earlyBytes > MAX_EARLY_BYTES) this.#end(this.#error('it sent more than was asked for'));
  }

  report(report: StreamReport): void {
    switch (report.type) {
      case 'secured':
        this.#secured.resolve(report.facts);
        return;
      case 'left':
        this.#outbox.left(report.bytes);
        if (this.#outbox.isCommitted) this.#onDrain?.();
        return;
      case 'said':
        this.#said.resolve();
        return;
      case 'over':
        this.#endBehind(undefined);
        return;
      case 'broken':
        this.#endBehind(
          this.#error('reason' in report ? report.reason : systemErrorText(Object.assign(new Error(), { code: errnoName(report.errno) }))),
        );
        return;
      default:
        report satisfies never;
    }
  }

  /** The engine is gone. */
  fail(error: SallyportError): void {
    this.#end(error);
  }

  async #shakeHands(signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw new CancelledError();
    const { reject } = this.#secured;
    const timer = setTimeout(() => reject(new NetworkError(`The TLS handshake with ${this.#host} took too long.`)), HANDSHAKE_TIMEOUT_MS);
    const cancel = () => reject(new CancelledError());
    signal.addEventListener('abort', cancel, { once: true });
    try {
      await this.#link.call('shake-hands', { path: this.#id });
      const facts = await this.#secured.promise;
      if (facts.peerCertificate === undefined) throw this.#error('it showed no certificate');
      this.#peerCertificate = facts.peerCertificate;
      this.#facts = facts;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', cancel);
    }
  }

  get #known(): SecuredFacts {
    if (this.#facts === undefined) throw new MisuseError('the TLS handshake is not over');
    return this.#facts;
  }

  #error(reason: string): NetworkError {
    if (this.#facts !== undefined) return new NetworkError(`The connection to ${this.#host} failed: ${reason}.`);
    return new NetworkError(`The TLS handshake with ${this.#host} failed: ${reason}.`, { code: TLS_FAILED });
  }

  #sayGoodbye(): void {
    this.#link.call('end-stream', { path: this.#id }).catch(() => this.#over.resolve()); // the engine has ended, and the connection with it
  }

  /** It came before the worker had the description. Only the worker may cut it now: it knows what comes next. */
  #giveBack(data: Buffer, start: number, end: number): void {
    this.#hasGivenBack = true;
    if (this.#link.push(ENTRY.received, this.#id, data, start, end)) this.#link.flush();
    else this.#end(this.#error('the packet engine had no room for what came'));
  }

  /** It is over, but for what was given back: that comes again before anybody hears of the end. */
  #endBehind(error: SallyportError | undefined): void {
    if (!this.#hasGivenBack) {
      this.#end(error);
      return;
    }
    const end = () => this.#end(error);
    this.#link.call('settle-stream', { path: this.#id }).then(end, end);
  }

  /** Nothing more comes, and nothing more can be sent. */
  #end(error: SallyportError | undefined): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#failure = error;
    this.#secured.reject(error ?? new NetworkError(`${this.#host} closed the connection during the TLS handshake.`, { code: TLS_FAILED }));
    this.#over.resolve();
    this.#onClose?.(error);
  }

  #release(): Promise<void> {
    this.#released ??= this.#closePath();
    return this.#released;
  }

  async #closePath(): Promise<void> {
    this.#outbox.close();
    try {
      await this.#link.call('close-path', { path: this.#id });
    } catch {
      // The engine has ended, and the connection with it.
    }
    this.#end(undefined);
    this.#counters = this.#counters.slice(); // the place is another's next
    this.#onClosed();
  }
}
