/** The driver's end of a TLS connection: what a machine commits is one TLS record, also while the engine carries the data. */
import { MisuseError } from '../../core/errors.ts';
import type { LayerSink } from '../../core/tunnel/layer.ts';
import type { Path } from '../../core/tunnel/machine.ts';
import type { Millis, Packet } from '../../core/tunnel/packet.ts';
import type { StreamTraffic, TrafficDescription } from '../../core/tunnel/traffic.ts';
import type { StreamCarrier, TlsStream } from '../tls-stream.ts';
import type { CarriedUse } from './carried-use.ts';

/** Bytes that wait for the peer before the device is paused: a little more than one round of a fast, far path. */
export const MAX_QUEUED_BYTES: number = 1024 * 1024;

/**
 * Bytes that wait for a peer that is not going to take them: far more than a paused device leaves. They are answers that the peer demanded and does
 * not read.
 */
const MAX_UNREAD_BYTES = 8 * MAX_QUEUED_BYTES;

/** How long what was committed may take to leave when the tunnel ends, and the peer to say goodbye, for which nobody here waits. */
const CLOSE_LIMIT_MS = 2000;

const NO_ROOM = Buffer.alloc(0);

export class StreamEnd implements Path, LayerSink {
  readonly kind = 'stream';
  readonly connection: TlsStream;
  /** The engine makes and cuts its frames of data. */
  isCarried = false;
  readonly #deliver: (packet: Packet) => void;
  #room: Buffer = NO_ROOM;

  constructor(connection: TlsStream, deliver: (packet: Packet) => void) {
    this.connection = connection;
    this.#deliver = deliver;
  }

  async carry(traffic: TrafficDescription | StreamTraffic | undefined): Promise<void> {
    const { carrier } = this.connection;
    if (carrier === undefined || (traffic !== undefined && !('received' in traffic)))
      throw new MisuseError('this stream cannot carry that');
    this.isCarried = traffic !== undefined;
    await carrier.carry(traffic);
  }

  async updateKeys(): Promise<void> {
    const { carrier } = this.connection;
    if (carrier === undefined) throw new MisuseError('node:tls cannot start a key update');
    await carrier.updateKeys();
  }

  get route(): StreamCarrier | undefined {
    return this.isCarried ? this.connection.carrier : undefined;
  }

  /** When the engine heard the peer and sent something last; undefined: what passes, passes here. */
  times(): { readonly heardAt: Millis; readonly sentAt: Millis } | undefined {
    return this.isCarried ? this.connection.carrier?.times() : undefined;
  }

  /** What the engine has carried so far. */
  get carried(): CarriedUse | undefined {
    return this.connection.carrier?.use();
  }

  get isFull(): boolean {
    return this.connection.queued > MAX_QUEUED_BYTES;
  }

  get isUnread(): boolean {
    return this.connection.queued > MAX_UNREAD_BYTES;
  }

  reserve(maxLength: number): Uint8Array {
    // Fresh memory each time: the connection keeps what was written until it has left.
    this.#room = Buffer.allocUnsafe(maxLength);
    return this.#room;
  }

  commit(length: number): void {
    this.connection.write(this.#room.subarray(0, length));
    this.#room = NO_ROOM;
  }

  packet(packet: Packet): void {
    this.#deliver(packet);
  }

  close(): Promise<void> {
    return this.connection.close(CLOSE_LIMIT_MS);
  }
}
