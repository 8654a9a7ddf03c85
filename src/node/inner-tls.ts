/**
 * TLS inside another conversation, by node:tls over a stream that is none: its records are put in at one side and taken out at the other.
 *
 *   records ─► receive ─► carrier ─► TLSSocket ─► takeReceived
 *   takeRecords ◄────────  carrier ◄─ TLSSocket ◄─ write
 */
import { Duplex } from 'node:stream';
import { connect, type SecureContext, type TLSSocket } from 'node:tls';
import type { InnerTls } from '../core/auth/inner-tls.ts';
import { NetworkError } from '../core/errors.ts';
import { parseIp } from '../core/wire/ip-address.ts';
import { reasonOf } from './tls-connection.ts';
import { TLS_FAILED } from './tls-stream.ts';

/**
 * Turns of the event loop in which nothing comes: then TLS waits for the peer. All that it does is done within a turn or two, as no thread and no
 * descriptor has a part in it.
 */
const QUIET_TURNS = 8;

/** Either end's; what it is one of begins the handshake and judges the peer. */
export class CarriedTls implements InnerTls {
  readonly socket: TLSSocket;
  readonly #carrier: Duplex;
  #records: Buffer[] = [];
  #received: Buffer[] = [];
  /** Events so far. */
  #events = 0;
  #isOpen = false;
  #failure: NetworkError | undefined;

  constructor(begin: (carrier: Duplex) => TLSSocket) {
    this.#carrier = new Duplex({
      read: () => undefined, // what comes is pushed
      write: (chunk: Buffer, _encoding, done) => {
        this.#records.push(Buffer.from(chunk));
        this.#events++;
        done();
      },
    });
    this.socket = begin(this.#carrier);
    this.socket.on('error', (error) => this.#fail(reasonOf(error)));
    this.socket.on('close', () => this.#fail('it was closed'));
    this.socket.on('data', (bytes: Buffer) => {
      this.#received.push(bytes);
      this.#events++;
    });
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** The handshake is done. @param refusal why the peer is not to be spoken with */
  secured(refusal: string | undefined): void {
    this.#events++;
    if (refusal === undefined) this.#isOpen = true;
    else {
      this.#fail(refusal);
      this.close();
    }
  }

  receive(records: Uint8Array): void {
    if (records.length > 0) this.#carrier.push(Buffer.from(records));
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  async settle(): Promise<void> {
    let events = this.#events;
    for (let quiet = 0; quiet < QUIET_TURNS && this.#failure === undefined; quiet++) {
      await new Promise(setImmediate);
      if (events !== this.#events) quiet = 0;
      events = this.#events;
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  takeRecords(): Uint8Array {
    return Buffer.concat(this.#records.splice(0));
  }

  takeReceived(): Uint8Array {
    return Buffer.concat(this.#received.splice(0));
  }

  close(): void {
    this.socket.destroy();
    this.#carrier.destroy();
  }

  #fail(reason: string): void {
    this.#events++;
    this.#failure ??= new NetworkError(`TLS inside the log-in failed: ${reason}.`, { code: TLS_FAILED });
  }
}

export interface InnerTlsOptions {
  /** The peer's name, for SNI. */
  readonly host: string;
  /** With the certificate that is shown. */
  readonly context: SecureContext;
  /** DER: the peer's, and no other is taken. */
  readonly certificate: Uint8Array;
}

export function innerTlsClient({ host, context, certificate }: InnerTlsOptions): InnerTls {
  const begin = (socket: Duplex) =>
    connect({
      socket,
      secureContext: context,
      rejectUnauthorized: false, // the certificate is compared below
      ...(parseIp(host) === undefined ? { servername: host } : { host }),
    });
  const tls = new CarriedTls(begin);
  tls.socket.once('secureConnect', () => {
    const isGateway = tls.socket.getPeerX509Certificate()?.raw.equals(certificate) === true;
    tls.secured(isGateway ? undefined : 'it is not with the gateway that the connection leads to');
  });
  return tls;
}
