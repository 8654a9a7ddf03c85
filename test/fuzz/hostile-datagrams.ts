/**
 * The gateway's UDP port: an honest DTLS server for each client that comes, and whoever stands in front of it and changes, adds, repeats and swallows
 * datagrams, on the wire or inside the association.
 *
 * Read first: spec "AnyConnect", sections 7.1 and 7.2.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { TLSSocket } from 'node:tls';
import { DtlsServer, type DtlsServerOptions } from '../../src/core/dtls/server.ts';
import { SallyportError } from '../../src/core/errors.ts';
import { type HttpHeaders, type HttpRequest, headerValue } from '../../src/core/http/message.ts';
import { packetOf } from '../../src/core/tunnel/packet.ts';
import { fromHex } from '../../src/core/wire/text.ts';
import { NodeCrypto } from '../../src/node/crypto/node-crypto.ts';
import { DatagramSink } from '../support/datagram-sink.ts';
import type { Dice } from './dice.ts';
import { APP_ID } from './honest-flow.ts';

/** What is taken over; what is not there is honest. */
export interface DatagramHostility {
  /** What the client gets in place of an honest datagram: as many as it says. */
  readonly outgoing?: (datagram: Uint8Array, dice: Dice) => readonly Uint8Array[];
  /** What it gets besides, each time it sent something. */
  readonly besides?: (received: Uint8Array, dice: Dice) => readonly Uint8Array[];
  /** What it gets inside the association besides, each time it sent a record. */
  readonly inside?: (dice: Dice) => readonly Uint8Array[];
}

type Credentials = Pick<DtlsServerOptions, 'credentials' | 'version'>;

/** Datagrams to one client in one run: then it is left alone, so that nobody answers each other for ever. */
const MAX_SENT = 400;

const TYPE = { data: 0, dpdRequest: 3, dpdResponse: 4 } as const;

export class DatagramHost {
  readonly #socket: Socket;
  readonly #clients = new Map<number, Client>();
  #dice: Dice | undefined;
  #hostility: DatagramHostility = {};
  #credentials: Credentials | undefined;

  static async open(): Promise<DatagramHost> {
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new DatagramHost(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (bytes, from) => this.#received(bytes, from));
    socket.on('error', () => undefined); // nobody listens there any more
  }

  get port(): number {
    return this.#socket.address().port;
  }

  begin(dice: Dice, hostility: DatagramHostility = {}): void {
    this.#dice = dice;
    this.#hostility = hostility;
    this.#credentials = undefined;
  }

  end(): void {
    this.#dice = undefined;
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  /** A tunnel was granted: this is how its client will come. */
  expect(request: HttpRequest, granted: HttpHeaders, stream: TLSSocket): void {
    const secret = headerValue(request.headers, 'X-DTLS-Master-Secret');
    const masterSecret = secret === undefined ? new Uint8Array(48) : fromHex(secret);
    if (headerValue(granted, 'X-DTLS-App-ID') !== undefined) {
      if (stream.destroyed) return;
      const key = new Uint8Array(stream.exportKeyingMaterial(32, 'EXPORTER-openconnect-psk', undefined as unknown as Buffer));
      this.#credentials = { version: '1.2', credentials: { kind: 'psk', findKey: () => key } };
    } else {
      const is12 = headerValue(granted, 'X-DTLS12-CipherSuite') !== undefined;
      const credentials = { kind: 'resumption' as const, masterSecret, sessionId: APP_ID, suite: is12 ? 0x009d : 0x0035 };
      this.#credentials = { version: is12 ? '1.2' : '0.9', credentials };
    }
  }

  #received(bytes: Uint8Array, from: RemoteInfo): void {
    const dice = this.#dice;
    if (dice === undefined || this.#credentials === undefined) return;
    let client = this.#clients.get(from.port);
    if (client === undefined) {
      const send = (datagram: Uint8Array) => this.#socket.send(datagram, from.port, from.address);
      client = new Client(this.#credentials, this.#hostility, dice.fork(this.#clients.size), send);
      this.#clients.set(from.port, client);
    }
    client.received(bytes);
  }
}

/** One association, and its enemy. */
class Client {
  readonly #dtls: DtlsServer;
  readonly #sink = new DatagramSink();
  readonly #hostility: DatagramHostility;
  readonly #dice: Dice;
  readonly #send: (datagram: Uint8Array) => void;
  #sent = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(credentials: Credentials, hostility: DatagramHostility, dice: Dice, send: (datagram: Uint8Array) => void) {
    this.#dtls = new DtlsServer({ ...credentials, crypto: new NodeCrypto() });
    this.#hostility = hostility;
    this.#dice = dice;
    this.#send = send;
  }

  received(bytes: Uint8Array): void {
    const { besides, inside } = this.#hostility;
    const copy = Uint8Array.from(bytes); // it is opened in place
    this.#attempt(() => this.#dtls.receive(bytes, performance.now(), this.#sink));
    for (const plaintext of this.#sink.packets.splice(0)) {
      this.#answer(plaintext);
      for (const more of inside?.(this.#dice) ?? []) this.#seal(more);
    }
    this.#flush();
    for (const datagram of besides?.(copy, this.#dice) ?? []) this.#deliver(datagram);
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  /** Echoes packets, and DPD requests with all that is in them: that is what proves a path's MTU. */
  #answer(plaintext: Uint8Array): void {
    if (plaintext[0] === TYPE.data) this.#seal(plaintext);
    else if (plaintext[0] === TYPE.dpdRequest) this.#seal(Uint8Array.of(TYPE.dpdResponse, ...plaintext.subarray(1)));
  }

  #seal(plaintext: Uint8Array): void {
    this.#dtls.send(packetOf(plaintext), performance.now(), this.#sink);
  }

  #flush(): void {
    const { outgoing } = this.#hostility;
    for (const datagram of this.#sink.take()) {
      for (const changed of outgoing?.(datagram, this.#dice) ?? [datagram]) this.#deliver(changed);
    }
    clearTimeout(this.#timer);
    const due = this.#dtls.nextTimeout();
    if (due === undefined || this.#sent >= MAX_SENT) return;
    this.#timer = setTimeout(() => {
      this.#dtls.handleTimeout(performance.now(), this.#sink);
      this.#flush();
    }, due - performance.now());
  }

  #deliver(datagram: Uint8Array): void {
    if (this.#sent++ < MAX_SENT) this.#send(datagram);
  }

  #attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
    }
  }
}
