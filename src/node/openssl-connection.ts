/**
 * A client's TLS connection by OpenSSL's own functions, in this thread and over a socket of node:net, until it becomes a tunnel: then it moves into the
 * packet engine as it is, keys and sequence numbers included.
 *
 *   socket ─ data ─► feed ─► read, record by record ─► listener
 *   socket ◄─ one write a turn ─ takeUnsent ◄─ write, one record each
 *
 * So handshakes, which cost a signature each, and whatever strangers send before they have logged in, are never in the thread that moves packets.
 */
import type { Socket } from 'node:net';
import { MisuseError, NetworkError, SallyportError, UnsupportedError } from '../core/errors.ts';
import { type Endpoint, formatEndpoint } from '../core/wire/ip-address.ts';
import type { PacketEngine } from './engine/packet-engine.ts';
import { NOT_READ, type TlsHandle } from './ffi/openssl-tls.ts';
import type { TlsBytes } from './ffi/openssl-tls-bytes.ts';
import { descriptorOf, readAgain, stopReading } from './socket-handle.ts';
import { systemErrorText } from './system-error.ts';
import type { AcceptedStream } from './tls-acceptor.ts';
import type { ConnectionEnds, TlsStream } from './tls-stream.ts';

/** What the handshake agreed on. */
export interface OpenSslFacts {
  readonly cipherSuite: string;
  readonly updatesKeys: boolean;
  readonly finished: Uint8Array;
  readonly peerFinished: Uint8Array;
  /** Empty: the client has shown none that is good. */
  readonly peerCertificate: Uint8Array;
}

/** What may wait for a peer that does not read: more than the tunnel itself lets wait (driver/stream-end.ts). */
const MAX_UNREAD_BYTES = 9 * 1024 * 1024;

/** How long a goodbye may take to leave when the peer has ended its side. */
const LEAVE_LIMIT_MS = 2_000;

export class OpenSslConnection implements AcceptedStream {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly peerCertificate: Uint8Array;
  readonly cipherSuite: string;
  readonly finished: Uint8Array;
  readonly peerFinished: Uint8Array;
  readonly #facts: OpenSslFacts;
  readonly #raw: Socket;
  readonly #adopt: (handle: TlsHandle) => TlsBytes;
  readonly #received = (bytes: Uint8Array): void => {
    if (this.#state !== 'open') return; // nobody wants it any more
    this.#tls.feed(bytes);
    this.#read();
    // What it asks TLS itself for is answered though nobody writes.
    if (this.queued > MAX_UNREAD_BYTES) {
      this.#failed('it does not read what it asks for');
      this.#raw.destroy();
    }
  };
  #tls: TlsBytes;
  #state: 'open' | 'ending' | 'over' = 'open';
  #isPaused = true;
  #flushes = false;
  /** Somebody waits for {@link onDrain}. */
  #owesDrain = false;
  #failure: SallyportError | undefined;
  #onData: ((bytes: Uint8Array) => void) | undefined;
  #onDrain: (() => void) | undefined;
  #onClose: ((error: SallyportError | undefined) => void) | undefined;

  /** @param raw paused, and without listeners but for errors @param adopt for a connection that could not move after all */
  constructor(raw: Socket, tls: TlsBytes, ends: ConnectionEnds, facts: OpenSslFacts, adopt: (handle: TlsHandle) => TlsBytes) {
    this.#raw = raw;
    this.#tls = tls;
    this.#facts = facts;
    this.#adopt = adopt;
    this.local = ends.local;
    this.remote = ends.remote;
    this.peerCertificate = facts.peerCertificate;
    this.cipherSuite = facts.cipherSuite;
    this.finished = facts.finished;
    this.peerFinished = facts.peerFinished;
    raw.on('data', this.#received);
    raw.on('drain', () => {
      this.#flush();
      this.#drained();
    });
    raw.on('end', () => this.#leave());
    raw.on('error', (error) => this.#failed(systemErrorText(error)));
    raw.on('close', () => this.#over());
    if (raw.destroyed) queueMicrotask(() => this.#over());
  }

  get queued(): number {
    return this.#tls.unsent + this.#raw.writableLength;
  }

  /** Only the engine's can. */
  get carrier(): undefined {
    return undefined;
  }

  async exportKeyingMaterial(label: string, length: number): Promise<Uint8Array> {
    return this.exportNow(label, length);
  }

  exportNow(label: string, length: number): Uint8Array {
    const keys = this.#tls.exportKeys(label, length);
    if (keys === undefined) throw new MisuseError(`the TLS connection exports no ${length} bytes for "${label}"`);
    return keys;
  }

  write(bytes: Uint8Array): boolean {
    if (this.#state !== 'open') return false;
    if (!this.#tls.write(bytes)) {
      this.#break();
      return false;
    }
    this.#flushSoon();
    const hasRoom = this.queued <= this.#raw.writableHighWaterMark;
    if (!hasRoom) this.#owesDrain = true;
    return hasRoom;
  }

  onData(listener: (bytes: Uint8Array) => void): void {
    this.#onData = listener;
    this.resume();
  }

  onDrain(listener: () => void): void {
    this.#onDrain = listener;
  }

  onClose(listener: (error: SallyportError | undefined) => void): void {
    this.#onClose = listener;
    if (this.#state === 'over') queueMicrotask(() => listener(this.#failure)); // while nobody listened
  }

  release(): boolean {
    this.pause();
    this.#onData = undefined;
    this.#onDrain = undefined;
    this.#onClose = undefined;
    return this.#state === 'open' && !this.#raw.destroyed && !this.#raw.readableEnded;
  }

  pause(): void {
    this.#isPaused = true;
    this.#raw.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#raw.resume();
    process.nextTick(() => this.#read()); // records may have come with what was read last
  }

  async moveTo(engine: Pick<PacketEngine, 'adoptStream'>): Promise<TlsStream | undefined> {
    const raw = this.#raw;
    this.#flush();
    const fd = descriptorOf(raw);
    // What Node has not sent yet only Node can send.
    if (this.#state !== 'open' || fd === undefined || raw.writableLength > 0) return undefined;
    raw.off('data', this.#received);
    const taken = stopReading(raw);
    for (const bytes of taken ?? []) this.#tls.feed(bytes);
    const handle = this.#tls.detach();
    try {
      if (taken === undefined) throw new UnsupportedError('this Node keeps its sockets to itself');
      const { local, remote } = this;
      const stream = await engine.adoptStream({ fd, handle, local, remote, host: formatEndpoint(remote), facts: this.#facts });
      this.#state = 'over';
      raw.destroy();
      return stream;
    } catch (error) {
      // It goes on here: the engine has no place for it, or is gone, which its owner learns elsewhere.
      this.#tls = this.#adopt(handle);
      if (raw.destroyed) this.#tls.close();
      readAgain(raw);
      raw.on('data', this.#received);
      if (!(error instanceof SallyportError)) throw error;
      return undefined;
    }
  }

  async close(limitMs: number): Promise<void> {
    const raw = this.#raw;
    if (this.#state === 'over' || raw.destroyed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(() => raw.destroy(), limitMs);
    raw.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    this.#sayGoodbye();
    await promise;
  }

  destroy(): void {
    this.#raw.destroy();
  }

  #read(): void {
    while (!this.#isPaused && this.#state === 'open') {
      const read = this.#tls.read();
      if (typeof read !== 'number') {
        this.#onData?.(read);
      } else {
        if (read === NOT_READ.ended) this.#leave();
        else if (read === NOT_READ.failed) this.#break();
        break;
      }
    }
    this.#flushSoon(); // TLS's own answers
  }

  /** The peer has ended its side: there is no half-open tunnel or log-in. */
  #leave(): void {
    if (this.#state !== 'open') return;
    const timer = setTimeout(() => this.#raw.destroy(), LEAVE_LIMIT_MS);
    this.#raw.once('close', () => clearTimeout(timer));
    this.#sayGoodbye();
  }

  #sayGoodbye(): void {
    if (this.#state === 'open') this.#tls.end();
    this.#state = 'ending';
    this.#flush();
    this.#raw.resume(); // what is not read makes the kernel reset the connection, and our last answer may be lost with it
    this.#raw.end(() => this.#raw.destroy());
  }

  /** TLS itself says no. Its alert leaves. */
  #break(): void {
    this.#failed(this.#tls.failure);
    this.#leave();
  }

  #failed(reason: string): void {
    this.#failure ??= new NetworkError(`The connection to ${formatEndpoint(this.remote)} failed: ${reason}.`);
  }

  /** What is written in one turn leaves by one write. */
  #flushSoon(): void {
    if (this.#flushes) return;
    this.#flushes = true;
    process.nextTick(() => {
      this.#flushes = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#state === 'over' || this.#raw.destroyed || this.#tls.unsent === 0) return;
    if (this.#state === 'open' && this.#raw.writableNeedDrain) return; // it waits in OpenSSL, where it is small
    // The system may take all of it at once, however much that was: then Node has nothing to drain.
    if (this.#raw.write(this.#tls.takeUnsent())) this.#drained();
  }

  /** Tells who was told to wait. */
  #drained(): void {
    if (!this.#owesDrain || this.#raw.writableNeedDrain || this.#tls.unsent > 0) return;
    this.#owesDrain = false;
    this.#onDrain?.();
  }

  #over(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#tls.close();
    this.#onClose?.(this.#failure);
  }
}
