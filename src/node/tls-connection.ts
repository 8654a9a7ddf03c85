/**
 * A TLS connection over a connected stream, with what tunnels need beyond node:tls: one write is one TLS record, keying material can be
 * exported, and the caller decides about the peer's certificate with all facts at hand.
 *
 * Read first: spec "AnyConnect", section 5.1 (one frame, one record).
 */
import type { Socket } from 'node:net';
import { type ConnectionOptions, connect, type SecureContext, type TLSSocket } from 'node:tls';
import { CancelledError, NetworkError, type SallyportError, TooLateError } from '../core/errors.ts';
import type { Millis } from '../core/tunnel/packet.ts';
import { type Endpoint, formatEndpoint, parseIp } from '../core/wire/ip-address.ts';
import { unlessCancelled } from './cancellation.ts';
import { endsOf } from './socket-ends.ts';
import { systemErrorText } from './system-error.ts';
import type { AcceptedStream } from './tls-acceptor.ts';
import { type ConnectionEnds, TLS_FAILED } from './tls-stream.ts';
import { type PresentedCertificate, presentedBy } from './trust/verify-certificate.ts';

export interface TlsOptions {
  /** For SNI (a name only) and for the certificate's names. */
  readonly host: string;
  /** The name for SNI, if it is not {@link host}. */
  readonly sni?: string;
  readonly context: SecureContext;
  /** Decides about the peer before a byte of application data is sent; rejects to refuse. */
  readonly judge: (presented: PresentedCertificate) => Promise<void>;
  /** How long the handshake may take. Default: {@link HANDSHAKE_TIMEOUT}. */
  readonly patience?: Millis | undefined;
  readonly signal: AbortSignal;
}

type ConnectionEvent = 'data' | 'drain' | 'close' | 'end';

/** How long a handshake may take. */
const HANDSHAKE_TIMEOUT: Millis = 60_000;

export class TlsConnection implements AcceptedStream {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** DER of the peer's certificate; empty if it has shown none, as clients may. */
  readonly peerCertificate: Uint8Array;
  /** `TLSv1.3-TLS_AES_256_GCM_SHA384`. */
  readonly cipherSuite: string;
  readonly #socket: TLSSocket;
  readonly #listeners: [event: ConnectionEvent, listener: (bytes: Uint8Array) => void][] = [];
  #failure: SallyportError | undefined;

  private constructor(socket: TLSSocket, host: string, certificate: Uint8Array, ends: ConnectionEnds) {
    this.#socket = socket;
    this.local = ends.local;
    this.remote = ends.remote;
    this.peerCertificate = certificate;
    this.cipherSuite = `${socket.getProtocol()}-${socket.getCipher().standardName}`;
    socket.on('error', (error) => {
      this.#failure ??= new NetworkError(`The connection to ${host} failed: ${reasonOf(error)}.`, { cause: error });
    });
  }

  /** Handshakes over `raw` and has the peer judged. On any failure `raw` is destroyed. */
  static async open(raw: Socket, options: TlsOptions): Promise<TlsConnection> {
    const { host, judge, signal } = options;
    const socket = await handshake(raw, options);
    socket.on('error', () => undefined); // it is destroyed then, which is looked at below
    try {
      const presented = presentedBy(socket, host);
      await unlessCancelled(judge(presented), signal);
      // A person may have thought for longer than the peer waits.
      if (socket.destroyed || socket.readableEnded)
        throw new NetworkError(`${host} closed the connection while its certificate was judged.`);
      const [certificate] = presented.chain;
      if (certificate === undefined) throw new NetworkError(`${host} sent no certificate.`, { code: TLS_FAILED });
      return new TlsConnection(socket, host, certificate, endsOf(socket));
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  /** A connection whose handshake a server of ours has finished: `TlsServer.accept` hands these out. */
  static accepted(socket: TLSSocket, ends: ConnectionEnds, certificate: Uint8Array = new Uint8Array(0)): TlsConnection {
    keepRecordsApart(socket);
    return new TlsConnection(socket, formatEndpoint(ends.remote), certificate, ends);
  }

  write(bytes: Uint8Array): boolean {
    return this.#socket.write(bytes);
  }

  get queued(): number {
    return this.#socket.writableLength;
  }

  onData(listener: (bytes: Uint8Array) => void): void {
    this.#listen('data', listener);
    this.#socket.resume();
  }

  onDrain(listener: () => void): void {
    this.#listen('drain', listener);
  }

  onClose(listener: (error: SallyportError | undefined) => void): void {
    this.#listen('close', () => listener(this.#failure));
    if (this.#socket.closed) queueMicrotask(() => listener(this.#failure)); // while nobody listened
    // A peer that ends its side has left: there is no half-open tunnel or log-in.
    this.#listen('end', () => this.#socket.end());
  }

  /** Takes the listeners off and stops reading: who is given the connection sets its own. False: it is over. */
  release(): boolean {
    for (const [event, listener] of this.#listeners.splice(0)) this.#socket.off(event, listener);
    this.#socket.pause();
    return !this.#socket.destroyed && !this.#socket.readableEnded && this.#socket.writable;
  }

  /** node:tls can carry nothing by itself. */
  get carrier(): undefined {
    return undefined;
  }

  async exportKeyingMaterial(label: string, length: number): Promise<Uint8Array> {
    return this.exportNow(label, length);
  }

  /** The same at once. */
  exportNow(label: string, length: number): Uint8Array {
    return this.#socket.exportKeyingMaterial(length, label, undefined as unknown as Buffer);
  }

  get finished(): Uint8Array | undefined {
    return this.#socket.getFinished();
  }

  /** The verify_data of the peer's. */
  get peerFinished(): Uint8Array | undefined {
    return this.#socket.getPeerFinished();
  }

  /** Stops reading, so that the peer feels back-pressure. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Its keys are node:tls's. */
  async moveTo(): Promise<undefined> {
    return undefined;
  }

  async close(limitMs: number): Promise<void> {
    if (this.#socket.destroyed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(() => this.#socket.destroy(), limitMs);
    this.#socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    this.#socket.end(() => this.#socket.destroy());
    await promise;
  }

  #listen(event: ConnectionEvent, listener: (bytes: Uint8Array) => void): void {
    this.#listeners.push([event, listener]);
    this.#socket.on(event as 'data', listener); // only this one has bytes
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

function handshake(raw: Socket, options: TlsOptions): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const settings: ConnectionOptions = {
    socket: raw,
    secureContext: options.context,
    rejectUnauthorized: false, // judged by the caller, who can say more than yes or no
  };
  const name = options.sni ?? options.host;
  if (parseIp(name) === undefined) settings.servername = name;
  else settings.host = name; // addresses are not for SNI: RFC 6066, section 3
  const socket = connect(settings);
  const tooLate = () => fail(new TooLateError(`The TLS handshake with ${options.host} took too long.`));
  const timer = setTimeout(tooLate, options.patience ?? HANDSHAKE_TIMEOUT);
  const cancel = () => fail(new CancelledError());
  const broken = (error: Error) =>
    fail(new NetworkError(`The TLS handshake with ${options.host} failed: ${reasonOf(error)}.`, { code: TLS_FAILED, cause: error }));
  const closed = () => fail(new NetworkError(`${options.host} closed the connection during the TLS handshake.`, { code: TLS_FAILED }));
  const settle = () => {
    clearTimeout(timer);
    options.signal.removeEventListener('abort', cancel);
    socket.off('error', broken).off('close', closed);
  };
  const fail = (error: SallyportError) => {
    settle();
    socket.on('error', () => undefined); // it has failed already: what it says while being destroyed adds nothing
    socket.destroy();
    reject(error);
  };
  if (options.signal.aborted) cancel();
  options.signal.addEventListener('abort', cancel, { once: true });
  socket.once('error', broken).once('close', closed);
  socket.once('secureConnect', () => {
    settle();
    keepRecordsApart(socket);
    resolve(socket);
  });
  return promise;
}

/**
 * Peers require each tunnel frame to be a TLS record of its own, but a stream hands queued writes to `_writev`, which merges them into one record.
 * Without `_writev` the stream writes them one by one, each its own record. Observed with ocserv 1.1.6, which ends a session over a merged record;
 * a test counts records.
 */
function keepRecordsApart(socket: TLSSocket): void {
  Object.assign(socket, { _writev: null });
}

/** OpenSSL's own word for what is wrong, without its numbers and places; else the system's. */
export function reasonOf(error: Error): string {
  return 'reason' in error && typeof error.reason === 'string' ? error.reason : systemErrorText(error);
}
